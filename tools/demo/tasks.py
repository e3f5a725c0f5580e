"""The tasks of the demo."""
import os.path as osp
from collections import namedtuple

_MINIWORLD = 'tools/dataset_converters/miniworld.py'
_ROOMS = (_MINIWORLD, 'rooms', '--out-dir', osp.join('data', 'mini_hypersim'))
_SUBJECTS = (_MINIWORLD, 'subjects', '--out-dir',
             osp.join('data', 'mini_objects'))
_PERSONS = (_MINIWORLD, 'persons', '--out-dir', osp.join('data',
                                                         'mini_people'))

#: A task: the name of its config, the key of the metric in the results and
#: the name to show, whether more is better, the command that makes the data,
#: and how many frames it makes.
Task = namedtuple('Task', 'config key metric higher_is_better data num_frames',
                  defaults=[100])

TASKS = dict(
    seg=Task('upernet_mini-hypersim', 'mIoU', 'mIoU', True, _ROOMS),
    depth=Task('vae_mini-hypersim-depth', 'abs_rel', 'abs_rel', False,
               _ROOMS),
    disparity=Task('vae_mini-hypersim-disparity', 'abs_rel', 'abs_rel', False,
                   _ROOMS),
    normal=Task('vae_mini-hypersim-normal', 'mean', 'mean_angle', False,
                _ROOMS),
    dis=Task('vae_mini-dis5k-dis', 'mae', 'MAE', False,
             (*_SUBJECTS, '--kind', 'dis')),
    matting=Task('vae_mini-p3m10k-matting', 'mad', 'MAD', False,
                 (*_SUBJECTS, '--kind', 'matting')),
    colormap=Task('vae_mini-hypersim-seg', 'mIoU', 'mIoU', True, _ROOMS),
    pose=Task('heatmap_mini-people', 'coco/AP', 'AP', True, _PERSONS, 600))
