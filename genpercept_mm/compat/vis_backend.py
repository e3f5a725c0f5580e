"""mmengine's pictures on disk, which get lost without a word."""
from genpercept_mm.utils.files import write_named
from genpercept_mm.utils.pictures import encode_png


def write_pictures_whole(module):
    """Make ``LocalVisBackend.add_image`` write whole files, or raise.

    The stock method ignores whether ``cv2.imwrite`` succeeded, which it does
    not on a full disk or in a folder that is missing, and which ends the
    process on file names that are not UTF-8. Sub-folders in names are kept.
    """
    backend = module.LocalVisBackend

    @module.force_init_env
    def add_image(self, name, image, step=0, **kwargs):
        """Write an image (H, W, 3) uint8 RGB to ``<name>_<step>.png``."""
        write_named(self._img_save_dir, f'{name}_{step}.png',
                    encode_png(image))

    backend.add_image = add_image
