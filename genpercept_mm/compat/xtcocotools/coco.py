"""Annotations in COCO's format, as xtcocotools reads them."""
import copy
import json

import numpy as np
from pycocotools import coco


class COCO(coco.COCO):
    """`pycocotools.coco.COCO` that, like xtcocotools', lets ``iscrowd`` be
    missing, image ids be strings and a list of results be empty."""

    def createIndex(self):
        """See `pycocotools.coco.COCO.createIndex`."""
        for annotation in self.dataset.get('annotations', ()):
            annotation.setdefault('iscrowd', 0)
        super().createIndex()

    def getAnnIds(self, imgIds=(), catIds=(), areaRng=(), iscrowd=None):
        """See `pycocotools.coco.COCO.getAnnIds`."""
        return super().getAnnIds(_as_list(imgIds), catIds, areaRng, iscrowd)

    def loadImgs(self, ids=()):
        """See `pycocotools.coco.COCO.loadImgs`."""
        return super().loadImgs(_as_list(ids))

    def loadRes(self, resFile):
        """See `pycocotools.coco.COCO.loadRes`."""
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
