"""The part of xtcocotools that mmpose uses, on pycocotools.

`genpercept_mm.compat` loads this package under the name ``xtcocotools`` where
that is not installed: `coco.COCO`, `cocoeval.COCOeval` and `mask`.
"""
