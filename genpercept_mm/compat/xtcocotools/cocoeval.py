"""Average precision of keypoints, as xtcocotools computes it."""
import contextlib
import copy
import io

import numpy as np
from pycocotools import cocoeval

# The fields of an annotation whose keypoints a kind of evaluation compares.
PARTS = dict(
    keypoints_foot=('foot_kpts', ),
    keypoints_face=('face_kpts', ),
    keypoints_lefthand=('lefthand_kpts', ),
    keypoints_righthand=('righthand_kpts', ),
    keypoints_wholebody=('keypoints', 'foot_kpts', 'face_kpts',
                         'lefthand_kpts', 'righthand_kpts'))
# Images by their crowd index: easy, medium and hard (CrowdPose).
CROWD_LEVELS = (-np.inf, 0.2, 0.8, np.inf)


class COCOeval(cocoeval.COCOeval):
    """`pycocotools.cocoeval.COCOeval` with xtcocotools' keypoint rules.

    Annotations and results are copied and completed before pycocotools
    compares them:

    - Persons without a labelled keypoint (v > 0) are ignored, whatever their
      ``num_keypoints`` says. Only ``'keypoints_crowd'`` takes that field, as
      CrowdPose counts visible keypoints alone.
    - Where an area is missing, 0.53 times that of the box takes its place, in
      the similarity and in the ranges of area.
    - Results without a keypoint score above 0 are dropped.
    - Results of parts are ordered by, for example, ``foot_score`` if they have
      it, otherwise by ``score``.
    - An annotation with id 0 counts like any other.

    Args:
        cocoGt (COCO, optional): Annotations.
        cocoDt (COCO, optional): Results.
        iouType (str): ``'keypoints'``, alone or followed by ``_body``,
            ``_crowd``, ``_wholebody``, ``_foot``, ``_face``, ``_lefthand`` or
            ``_righthand``; ``'bbox'`` and ``'segm'`` are left to pycocotools.
            Defaults to 'keypoints'.
        sigmas (np.ndarray, optional): (K,) tolerance of each keypoint, in
            units of the square root of a person's area; None takes COCO's 17.
        use_area (bool): Whether annotations have their area; if not, that of
            the box is used as above. Defaults to True.
    """

    def __init__(self, cocoGt=None, cocoDt=None, iouType='keypoints',
                 sigmas=None, use_area=True):
        # For pycocotools every kind is plain keypoints.
        super().__init__(cocoGt, cocoDt,
                         'keypoints' if 'keypoints' in iouType else iouType)
        if sigmas is not None:
            self.params.kpt_oks_sigmas = np.asarray(sigmas)
        self.kind = iouType
        self.use_area = use_area

    def _prepare(self):
        if self.params.iouType != 'keypoints':
            super()._prepare()
            return
        self._gts.clear()
        self._dts.clear()
        self.eval = {}
        labels = [self._label(x) for x in self._chosen(self.cocoGt)]
        # For pycocotools, id 0 means "not matched".
        first = min((label['id'] for label in labels), default=1)
        for label in labels:
            label['id'] += max(0, 1 - first)
            self._gts[label['image_id'], label['category_id']].append(label)
        for result in map(self._result, self._chosen(self.cocoDt)):
            if (result['keypoints'][2::3] > 0).any():
                self._dts[result['image_id'],
                          result['category_id']].append(result)

    def _chosen(self, coco):
        chosen = dict(imgIds=self.params.imgIds)
        if self.params.useCats:
            chosen.update(catIds=self.params.catIds)
        return coco.loadAnns(coco.getAnnIds(**chosen))

    def _keypoints(self, annotation):
        parts = PARTS.get(self.kind, ('keypoints', ))
        return np.concatenate([annotation[part] for part in parts])

    def _label(self, annotation):
        keypoints = self._keypoints(annotation)
        labelled = (annotation['num_keypoints'] if self.kind ==
                    'keypoints_crowd' else (keypoints[2::3] > 0).sum())
        crowd = annotation.get('iscrowd', 0)
        area = annotation.get('area') if self.use_area else None
        if area is None:
            area = annotation['bbox'][2] * annotation['bbox'][3] * 0.53
        return dict(
            annotation,
            keypoints=keypoints,
            num_keypoints=labelled,
            iscrowd=crowd,
            ignore=labelled == 0 or crowd,
            area=area)

    def _result(self, annotation):
        score = annotation['score']
        if self.kind in PARTS:
            part = self.kind.removeprefix('keypoints_')
            score = annotation.get(f'{part}_score', score)
        return dict(
            annotation, keypoints=self._keypoints(annotation), score=score)

    def summarize(self):
        """See `pycocotools.cocoeval.COCOeval.summarize`.

        For ``'keypoints_crowd'`` there are 9 values: AP, AP at 0.5 and at
        0.75, the same of AR, and AP of images that are easy, medium and hard.
        """
        super().summarize()
        if self.kind != 'keypoints_crowd':
            return
        levels = [self._crowd_precision(low, high) for low, high
                  in zip(CROWD_LEVELS, CROWD_LEVELS[1:])]
        for name, level in zip(('easy', 'medium', 'hard'), levels):
            print(f' Average Precision  (AP) of {name} images = {level:0.3f}')
        self.stats = np.array([*self.stats[[0, 1, 2, 5, 6, 7]], *levels])

    def _crowd_precision(self, low, high):
        part = type(self)(self.cocoGt, self.cocoDt, self.kind,
                          self.params.kpt_oks_sigmas, self.use_area)
        part.params = copy.deepcopy(self.params)
        part.params.imgIds = [
            image['id'] for image in self.cocoGt.dataset['images']
            if low <= image['crowdIndex'] < high
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            part.evaluate()
            part.accumulate()
        # Recall levels without a person count as -1, as in xtcocotools.
        return round(part.eval['precision'][:, :, :, 0].mean(), 4)
