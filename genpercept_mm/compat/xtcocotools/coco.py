"""Annotations in COCO's format, as xtcocotools reads them."""
import copy
import json

import numpy as np
from pycocotools import coco


class COCO(coco.COCO):
    """`pycocotools.coco.COCO` with xtcocotools' leniency.

    ``iscrowd`` may be missing, image ids may be strings, and a list of
    results may be empty.
    """

    def createIndex(self):
        """Index images, annotations and categories by their ids."""
        for annotation in self.dataset.get('annotations', ()):
            annotation.setdefault('iscrowd', 0)
        super().createIndex()

    def getAnnIds(self, imgIds=(), catIds=(), areaRng=(), iscrowd=None):
        """Return the ids of the annotations that meet all conditions.

        Args:
            imgIds (int | str | Sequence): One image id or several. Defaults
                to (), which takes all.
            catIds (int | Sequence[int]): One category id or several.
                Defaults to (), which takes all.
            areaRng (Sequence[float]): Smallest and largest area in square
                pixels. Defaults to (), which takes all.
            iscrowd (int, optional): Value of ``iscrowd``. Defaults to None,
                which takes all.

        Returns:
            list: Annotation ids.
        """
        return super().getAnnIds(_as_list(imgIds), catIds, areaRng, iscrowd)

    def loadImgs(self, ids=()):
        """Return the descriptions of images.

        Args:
            ids (int | str | Sequence): One image id or several. Defaults to
                ().

        Returns:
            list[dict]: One per id.
        """
        return super().loadImgs(_as_list(ids))

    def loadRes(self, resFile):
        """Read results and describe them like annotations.

        Args:
            resFile (str | list[dict] | np.ndarray): JSON file, its content,
                or an array (N, 7) of image id, box x, y, width and height,
                score and category id.

        Returns:
            COCO: The results, with ids from 1.
        """
        if isinstance(resFile, str):
            with open(resFile) as file:
                resFile = json.load(file)
        if isinstance(resFile, np.ndarray) or resFile:
            return super().loadRes(resFile)
        results = COCO()
        results.dataset = dict(
            images=list(self.dataset['images']),
            categories=copy.deepcopy(self.dataset.get('categories', [])),
            annotations=[])
        results.createIndex()
        return results


def _as_list(ids):
    # pycocotools would take a string for a sequence of ids.
    return [ids] if isinstance(ids, str) else ids
