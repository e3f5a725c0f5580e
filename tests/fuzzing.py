"""Mutated files, folders, arrays and arguments for every public door.

``python tests/fuzzing.py [cases]`` prints a table: doors, cases, how many gave
a right value, how many a clear error, and what else happened.
"""
import atexit
import functools
import json
import os
import os.path as osp
import pathlib
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter, defaultdict

import cv2
import h5py
import numpy as np
import torch
from mmengine.registry import init_default_scope
from PIL import Image

import genpercept_mm
from genpercept_mm.registry import (
    CODECS,
    DATASETS,
    METRICS,
    MODELS,
    TRANSFORMS,
)
from genpercept_mm.utils.argument_types import documented_types

PACKAGE = osp.dirname(osp.abspath(genpercept_mm.__file__))
PRIOR = osp.join(PACKAGE, 'weights', 'mini')
SECONDS = 5
CUT = None
SIZE = (12, 16)
#: How often each mutation was made
MADE = Counter()
WRONG = ['text', -1, 3.5, None, [], {}, [None], {'a': 1}, True, float('nan')]
DOORS = {}


class Hang(Exception):
    """A door took too long."""


class Uncut(Exception):
    """A file is shorter than where it was to be cut."""


def door():
    """Register a door: a function of a generator and a folder that returns a
    call and the words of which an error must hold one (files, keys, fields).
    """
    def keep(function):
        DOORS[function.__name__] = function
        return function

    return keep


# -- judging a call -----------------------------------------------------------


def judge(name, seed, cut=None):
    """Try one case; returns 'right', 'clear', or what is wrong with it.

    With ``cut``, the file is cut there instead of any other damage, and
    `Uncut` is raised if it is shorter.
    """
    global CUT
    CUT = cut
    rng = np.random.default_rng([abs(hash_of(name)), seed])
    home = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        before = signal.signal(signal.SIGPROF, _hang)
        try:
            call, words = DOORS[name](rng, folder)
            # of the processor, as others may keep it busy
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            result = call()
            signal.setitimer(signal.ITIMER_PROF, 0)
            wrong = list(_not_finite(result))
            if wrong:
                return f'values are not finite: {wrong}'
            return _leftovers(folder) or 'right'
        except Hang:
            return 'hangs'
        except Uncut:
            raise
        except Exception as error:
            signal.setitimer(signal.ITIMER_PROF, 0)
            return _leftovers(folder) or _judge_error(error, words)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)
            os.chdir(home)


def hash_of(text):
    return sum(ord(char) * 31**k for k, char in enumerate(text)) % 2**31


def _hang(*args):
    raise Hang


def _not_finite(value, name='result'):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _not_finite(item, f'{name}.{key}')
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _not_finite(item, f'{name}.{index}')
    elif isinstance(value, torch.Tensor):
        if value.is_floating_point() and not value.isfinite().all():
            yield name
    elif isinstance(value, np.ndarray):
        if value.dtype.kind == 'f' and not np.isfinite(value).all():
            yield name
    elif isinstance(value, float) and not np.isfinite(value):
        yield name


def _leftovers(folder):
    for root, _, names in os.walk(folder):
        for name in names:
            if name.endswith('.part'):
                return f'a half-written file is left: {name}'
    return None


def _judge_error(error, words):
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames
              if frame.filename.startswith(PACKAGE)]
    text = str(error)
    if not inside or not frames[-1].filename.startswith(PACKAGE):
        where = f'{osp.basename(frames[-1].filename)}:{frames[-1].lineno}'
        return f'{type(error).__name__} of {where}: {text[:150]}'
    if not any(word in text for word in words):
        return f'{type(error).__name__} names none of {words}: {text[:150]}'
    return 'clear'


# -- mutations ----------------------------------------------------------------


def mutate(path, rng, kinds=('cut', 'flip', 'swap', 'grow', 'empty', 'text')):
    """Damage a file in one of six ways."""
    kind = str(rng.choice(kinds))
    with open(path, 'rb') as file:
        content = bytearray(file.read())
    if CUT is not None:
        if CUT >= len(content):
            raise Uncut
        content = content[:CUT]
    elif kind == 'cut':
        content = content[:rng.integers(0, max(len(content), 1))]
    elif kind == 'flip' and content:
        for _ in range(rng.integers(1, 4)):
            content[rng.integers(0, len(content))] ^= 1 << rng.integers(0, 8)
    elif kind == 'swap' and len(content) > 16:
        a, b = sorted(rng.integers(0, len(content), 2))
        content[a:b] = content[a:b][::-1]
    elif kind == 'grow':
        content += rng.bytes(int(rng.integers(1, 64)))
    elif kind == 'empty':
        content = bytearray()
    elif kind == 'text':
        content = bytearray(b'<!DOCTYPE html><html>404</html>')
    with open(path, 'wb') as file:
        file.write(content)
    MADE[kind] += 1


def scenery(rng, channels=3, size=SIZE):
    return rng.integers(0, 256, (*size, channels)).astype(np.uint8)


def odd_size(rng):
    """The size of the image, or one off by one."""
    size = tuple(int(length + rng.integers(-1, 2)) for length in SIZE)
    if size != SIZE:
        MADE['size'] += 1
    return size


def save(path, array):
    os.makedirs(osp.dirname(path) or '.', exist_ok=True)
    if path.endswith('.npy'):
        np.save(path, array)
    elif path.endswith('.hdf5'):
        with h5py.File(path, 'w') as file:
            file['dataset'] = array
    elif array.dtype == np.uint8 and not path.endswith('.exr'):
        Image.fromarray(array.squeeze()).save(path)
    else:
        os.environ.setdefault('OPENCV_IO_ENABLE_OPENEXR', '1')
        cv2.imwrite(path, array)
    return path


def extreme(rng, shape, dtype=np.float32):
    """An array with values at the limits of its type."""
    kind = rng.integers(0, 7)
    array = rng.random(shape).astype(dtype)
    if kind < 6:
        MADE[('zeros', 'NaN', 'infinity', 'largest', 'negative', 'tiny')[
            kind]] += 1
    if kind == 0:
        array[...] = 0
    elif kind == 1:
        array[rng.random(shape) < .2] = np.nan
    elif kind == 2:
        array[rng.random(shape) < .2] = np.inf
    elif kind == 3:
        array *= np.finfo(dtype).max
    elif kind == 4:
        array = -array
    elif kind == 5:
        array *= np.finfo(dtype).tiny
    return array


# -- loaders ------------------------------------------------------------------


def _image(rng, results, folder='img'):
    path = save(f'{folder}/a.png', scenery(rng))
    results.update(img_path=path, ori_shape=SIZE, img_shape=SIZE)
    return results


def _load(kind, results, **kwargs):
    transform = TRANSFORMS.build(dict(type=f'genpercept_mm.{kind}', **kwargs))
    return lambda: {key: value for key, value in transform(results).items()
                    if key.startswith('gt_') and 'mask' not in key}


def _sample(rng):
    return _image(rng, dict(seg_fields=[], dataset_name='d', sample_name='a',
                            label_map=None, reduce_zero_label=False))


@door()
def load_depth(rng, folder):
    results, size = _sample(rng), odd_size(rng)
    kind = str(rng.choice(['png', 'npy', 'exr', 'hypersim', 'eth3d']))
    depth = rng.random(size) * 10
    path = f'depth.{dict(hypersim="hdf5", eth3d="jpg").get(kind, kind)}'
    if kind == 'eth3d':
        depth.astype('<f4').tofile(path)
    elif kind == 'png':
        save(path, (depth * 1000).astype(np.uint16))
    else:
        save(path, depth.astype(np.float32))
    results.update(depth_path=path, depth_format=kind, depth_scale=1 / 1000,
                   depth_range=(1e-3, 10.))
    mutate(path, rng)
    return _load('LoadDepth', results), (path, )


@door()
def load_cityscapes_depth(rng, folder):
    results = _sample(rng)
    save('d.png', rng.integers(0, 30000, odd_size(rng)).astype(np.uint16))
    with open('c.json', 'w') as file:
        json.dump(dict(extrinsic=dict(baseline=.2), intrinsic=dict(fx=2e3)),
                  file)
    results.update(depth_path='d.png', camera_path='c.json',
                   depth_format='cityscapes_disparity')
    mutate(str(rng.choice(['d.png', 'c.json'])), rng)
    return _load('LoadDepth', results), ('d.png', 'c.json')


@door()
def load_normal(rng, folder):
    results, size = _sample(rng), odd_size(rng)
    kind = str(rng.choice(['png', 'npy', 'exr', 'hypersim']))
    path = f'normal.{dict(hypersim="hdf5").get(kind, kind)}'
    save(path, scenery(rng, size=size) if kind == 'png' else
         rng.standard_normal((*size, 3)).astype(np.float32))
    results.update(normal_path=path, normal_format=kind,
                   normal_axes='genpercept')
    mutate(path, rng)
    return _load('LoadNormal', results), (path, )


@door()
def load_alpha(rng, folder):
    results, size = _sample(rng), odd_size(rng)
    path = save('alpha.png', rng.integers(
        0, 2, size).astype(np.uint8) * int(rng.choice([1, 7, 255])))
    mutate(path, rng)
    results.update(alpha_path=path)
    return _load('LoadAlpha', results), (path, )


@door()
def load_seg_label(rng, folder):
    results, size = _sample(rng), odd_size(rng)
    path = save('seg.png', rng.integers(
        0, int(rng.choice([3, 256])), size).astype(np.uint8))
    mutate(path, rng)
    results.update(seg_map_path=path)
    return _load('LoadSegLabel', results, num_ids=3), (path, )


@door()
def load_hypersim_semantic(rng, folder):
    results = _sample(rng)
    path = save('semantic.hdf5', rng.integers(
        -1, int(rng.choice([41, 50])), odd_size(rng)).astype(np.int16))
    mutate(path, rng)
    results.update(seg_map_path=path)
    return _load('LoadHypersimSemantic', results), (path, )


@door()
def load_hypersim_image(rng, folder):
    path = str(rng.choice(['a.color.hdf5', 'a.tonemap.jpg']))
    save(path, scenery(rng) if path.endswith('jpg') else
         rng.random((*SIZE, 3)).astype(np.float32))
    mutate(path, rng)
    transform = TRANSFORMS.build(dict(type='genpercept_mm.LoadHypersimImage'))
    return lambda: transform(dict(img_path=path))['img'], (path, )


@door()
def load_image(rng, folder):
    path = 'a.' + str(rng.choice(['png', 'jpg', 'webp', 'tif', 'gif', 'bmp']))
    if path == 'a.tif':
        save(path, (rng.random((*SIZE, 3)) * float(
            rng.choice([1, 300]))).astype(np.float32))
    else:
        save(path, scenery(rng))
    mutate(path, rng)
    transform = TRANSFORMS.build(dict(type='mmcv.LoadImageFromFile'))
    return lambda: transform(dict(img_path=path))['img'], (path, )


# -- data sets ----------------------------------------------------------------


def _write_tree(rng, files):
    for path in files:
        if path.endswith('.npy'):
            save(path, rng.random(SIZE).astype(np.float32))
        elif path.endswith('.hdf5'):
            save(path, rng.random(SIZE).astype(np.float32))
        elif path.endswith('.json'):
            os.makedirs(osp.dirname(path), exist_ok=True)
            with open(path, 'w') as file:
                json.dump(dict(extrinsic=dict(baseline=.2),
                               intrinsic=dict(fx=2e3)), file)
        elif 'depth' in path or 'disparity' in path:
            save(path, rng.integers(0, 9000, SIZE).astype(np.uint16))
        else:
            save(path, scenery(rng, 1 if 'mask' in path or 'gt' in path else
                               3))


LISTED = dict(
    KITTIDepthDataset=('eigen_test_files_with_gt.txt', ['a/rgb.png',
                                                        'a/depth.png']),
    NYUDepthDataset=('filename_list_test.txt', ['a/rgb.png', 'a/depth.png']),
    ScanNetDepthDataset=('scannet_val_sampled_list_800_1.txt',
                         ['a/rgb.png', 'a/depth.png']),
    ETH3DDataset=('eth3d_filename_list.txt', ['a/rgb.png', 'a/depth.png']),
    DIODEDataset=('diode_val_all_filename_list.txt',
                  ['a/rgb.png', 'a/depth.npy', 'a/mask.npy']))
IMAGES = 'ai_001_001/images/scene_cam_00_'
TREES = dict(
    CityscapesDepthDataset=(dict(), [
        'leftImg8bit/train/a/a_leftImg8bit.png',
        'disparity/train/a/a_disparity.png', 'camera/train/a/a_camera.json']),
    TaskonomyDataset=(dict(), [
        'rgb/b/point_0_view_0_domain_rgb.png',
        'depth_zbuffer/b/point_0_view_0_domain_depth_zbuffer.png']),
    VirtualKITTI2Dataset=(
        dict(scenes=['Scene01'], conditions=['clone'], cameras=[0]), [
            'rgb/Scene01/clone/frames/rgb/Camera_0/rgb_00000.jpg',
            'depth/Scene01/clone/frames/depth/Camera_0/depth_00000.png']),
    DIS5KDataset=(dict(), ['DIS-TR/im/a.jpg', 'DIS-TR/gt/a.png']),
    P3MDataset=(dict(), ['train/blurred_image/a.jpg', 'train/mask/a.png']),
    AIM500Dataset=(dict(), ['original/a.jpg', 'mask/a.png']),
    DSINENormalsDataset=(dict(subset='nyuv2'), [
        'nyuv2/test/0_img.png', 'nyuv2/test/0_normal.png']),
    FolderPairsDataset=(
        dict(img_dir='img', label_dir='alpha', label='alpha'),
        ['img/a.png', 'alpha/a.png', 'img/b/c.png', 'alpha/b/c.png']),
    HypersimDataset=(dict(split='train'), [
        f'{IMAGES}final_preview/frame.0000.tonemap.jpg',
        f'{IMAGES}geometry_hdf5/frame.0000.semantic.hdf5']),
    HypersimDenseDataset=(dict(split='train'), [
        f'{IMAGES}final_preview/frame.0000.tonemap.jpg',
        f'{IMAGES}geometry_hdf5/frame.0000.depth_meters.hdf5']))
SPLIT_LIST = ('scene_name,camera_name,frame_id,included_in_public_release,'
              'exclude_reason,split_partition_name\n'
              'ai_001_001,cam_00,0,True,,train\n')


def _damage_folder(rng, files, lists):
    """Take a file away, rename it, make it a folder or a link to nowhere, or
    damage a list; returns the words of which an error must hold one."""
    kind = int(rng.integers(0, 5 if lists else 4))
    path = str(rng.choice(files))
    if kind == 4:
        path = lists[0]
        mutate(path, rng)
        return [path, *files]
    os.remove(path)
    MADE[('missing', 'folder', 'link', 'suffix')[kind]] += 1
    if kind == 1:
        os.makedirs(path)
    elif kind == 2:
        os.symlink('nowhere', path)
    elif kind == 3:
        with open(osp.splitext(path)[0] + '.txt', 'w') as file:
            file.write('x')
    return [path, osp.dirname(path), 'found no sample in .', *files, *lists]


def _data_set_door(name):
    def data_set(rng, folder):
        lists, kwargs = [], {}
        if name in LISTED:
            lists, files = [LISTED[name][0]], LISTED[name][1]
            with open(lists[0], 'w') as file:
                file.write(' '.join(files) + '\n')
        else:
            kwargs, files = TREES[name]
        if name.startswith('Hypersim'):
            lists = ['metadata_images_split_scene_v1.csv']
            with open(lists[0], 'w') as file:
                file.write(SPLIT_LIST)
        _write_tree(rng, files)
        words = _damage_folder(rng, files, lists)

        def call():
            data = DATASETS.build(dict(
                type=f'genpercept_mm.{name}', data_root='.', pipeline=[],
                missing=str(rng.choice(['raise', 'skip'])), **kwargs))
            for index in range(len(data)):
                info = data.get_data_info(index)
                for key, path in info.items():
                    if key.endswith('_path'):
                        assert osp.exists(path), f'{path} was not missed'

        return call, words

    data_set.__name__ = name
    DOORS[name] = data_set


for _name in (*LISTED, *TREES):
    _data_set_door(_name)


@door()
def ADE20KNYU40Dataset(rng, folder):
    files = ['images/validation/a.jpg', 'annotations/validation/a.png',
             'images/validation/b.jpg', 'annotations/validation/b.png']
    for path in files:
        save(path, scenery(rng, 3 if path.endswith('jpg') else 1) % 151)
    lists = ['list.txt'] if rng.random() < .5 else []
    if lists:
        with open('list.txt', 'w') as file:
            file.write('a\nb\n')
    words = _damage_folder(rng, files, lists)

    def call():
        data = DATASETS.build(dict(
            type='genpercept_mm.ADE20KNYU40Dataset', data_root='.',
            ann_file=''.join(lists), pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='genpercept_mm.LoadSegLabel', num_ids=151)],
            data_prefix=dict(img_path='images/validation',
                             seg_map_path='annotations/validation')))
        return [data[index]['gt_seg_map'] for index in range(len(data))]

    return call, words


@door()
def CocoPoseDataset(rng, folder):
    """Values of one field are replaced, or the text of a file is damaged."""
    from genpercept_mm.datasets.coco_pose import CocoPoseDataset
    label = dict(id=3, image_id=5, category_id=1, bbox=[1, 2, 30, 40],
                 area=900, iscrowd=0, num_keypoints=17,
                 keypoints=[7, 8, 2] * 17)
    image = dict(id=5, file_name='a.jpg', width=64, height=48)
    box = dict(image_id=5, category_id=1, bbox=[1, 2, 30, 40], score=.5)
    labels = dict(images=[image], annotations=[label],
                  categories=[dict(id=1, name='person')])
    path = str(rng.choice(['labels.json', 'boxes.json']))
    item = [label, image, labels][rng.integers(0, 3)] if (
        path == 'labels.json') else box
    field = str(rng.choice(sorted(item)))
    if rng.random() < .5:
        item[field] = WRONG[int(rng.integers(0, len(WRONG)))]
        MADE['type'] += 1
    for name, content in (('labels.json', labels), ('boxes.json', [box])):
        with open(name, 'w') as file:
            json.dump(content, file)
    if rng.random() < .5:
        mutate(path, rng)

    def call():
        data = CocoPoseDataset(
            data_root='.', ann_file='labels.json', data_prefix=dict(img=''),
            bbox_file='boxes.json' if path == 'boxes.json' else None,
            pipeline=[], test_mode=True)
        return [data.get_data_info(index) for index in range(len(data))]

    return call, (path, )


# -- converters and weights ---------------------------------------------------


def _prior(folder, **index):
    for part in ('unet', 'vae', 'tokenizer', 'text_encoder', 'scheduler'):
        shutil.copytree(osp.join(PRIOR, part), part)
    if index:
        with open('model_index.json', 'w') as file:
            json.dump(index, file)
    files = []
    for root, _, names in os.walk('.'):
        files += [osp.normpath(osp.join(root, name)) for name in names]
    return sorted(files)


def _weight_words(path):
    part = path.split('/')[0]
    return [path, osp.basename(path), part, 'tokenizer', 'text_encoder',
            'pretrained', 'model_index', 'tensors', 'config', '.']


@door()
def pretrained(rng, folder):
    files = [path for path in _prior(folder) if not path.startswith('sched')]
    path = str(rng.choice(files))
    mutate(path, rng)
    backbone = MODELS.build(dict(
        type='genpercept_mm.SDUNet', arch='mini', pretrained='.'))
    return backbone.init_weights, _weight_words(path)


@door()
def genpercept_folder(rng, folder):
    from genpercept_mm.converters.genpercept_folder import GenPerceptFolder
    path = str(rng.choice(_prior(folder)))
    mutate(path, rng)

    def call():
        source = GenPerceptFolder('.', task='depth')
        return source.convert(source.read_prompt()).state_dict

    return call, _weight_words(path)


@functools.cache
def _family(in_channels, lotus):
    """Write a small folder of Marigold, Lotus or E2E-FT, once."""
    sys.path.append(osp.join(osp.dirname(osp.abspath(__file__)),
                             'test_converters'))
    from families import Family
    home = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    root = pathlib.Path(home, 'model')
    Family(root, in_channels, lotus)
    (root / 'model_index.json').write_text(json.dumps(dict(
        _class_name='MarigoldDepthPipeline', prediction_type='depth',
        default_denoising_steps=4)))
    return str(root)


def _family_door(name, in_channels, lotus):
    def convert(rng, folder):
        from genpercept_mm.converters.recognition import convert_any
        shutil.copytree(_family(in_channels, lotus), 'model')
        files = sorted(osp.join(root, file) for root, _, names in os.walk(
            'model') for file in names)
        path = str(rng.choice(files))
        mutate(path, rng)
        family = name.removesuffix('_folder').replace('_', '-')
        return lambda: convert_any('model', family, 'depth').state_dict, [
            *_weight_words(path.removeprefix('model/')), 'unet']

    convert.__name__ = name
    DOORS[name] = convert


for _name, _channels, _lotus in (
        ('marigold_folder', 8, False), ('lotus_folder', 4, True),
        ('e2e_ft_folder', 8, False)):
    _family_door(_name, _channels, _lotus)


@door()
def checkpoint(rng, folder):
    from genpercept_mm.converters.conversion import read_checkpoint
    torch.save(dict(state_dict=dict(a=torch.ones(3)), meta=dict(iter=1)),
               'a.pth')
    mutate('a.pth', rng)
    return lambda: read_checkpoint('a.pth')['meta'], ('a.pth', )


@door()
def prompt_embeds(rng, folder):
    from genpercept_mm.models.utils.prompt_embedding import read_prompt_embeds
    path = str(rng.choice(['a.npy', 'a.pt', 'a.safetensors']))
    values = torch.randn(1, 2, 8)
    if path == 'a.npy':
        np.save(path, values.numpy())
    elif path == 'a.pt':
        torch.save(values, path)
    else:
        from safetensors.torch import save_file
        save_file(dict(a=values), path)
    mutate(path, rng)
    return lambda: [read_prompt_embeds(path).shape], (path, )


# -- metrics and codecs -------------------------------------------------------


METRIC_FIELDS = dict(
    AffineDepthMetric=('pred_depth_map', 'gt_depth_map', 1),
    SurfaceNormalMetric=('pred_normal_map', 'gt_normal_map', 3),
    DISMetric=('pred_alpha_map', 'gt_alpha_map', 1),
    MattingMetric=('pred_alpha_map', 'gt_alpha_map', 1))


def _metric_door(name):
    def metric(rng, folder):
        field, label, channels = METRIC_FIELDS[name]
        shape = (channels, *SIZE)
        kwargs = dict(with_hce=False) if name == 'DISMetric' else {}
        measure = METRICS.build(dict(type=f'genpercept_mm.{name}', **kwargs))
        sample = {
            'img_path': 'a.png', 'sample_name': 'a',
            field: dict(data=torch.from_numpy(extreme(rng, shape))),
            label: dict(data=torch.from_numpy(extreme(rng, shape)))}
        if rng.random() < .3 and channels:
            sample[label] = dict(data=torch.rand(shape[0], *odd_size(rng)))

        def call():
            measure.process({}, [sample])
            return measure.evaluate(1)

        return call, ('a.png', )

    metric.__name__ = name
    DOORS[name] = metric


for _name in METRIC_FIELDS:
    _metric_door(_name)


@door()
def SegIoUMetric(rng, folder):
    measure = METRICS.build(dict(type='genpercept_mm.SegIoUMetric'))
    measure.dataset_meta = dict(classes=('a', 'b', 'c'))
    label = torch.from_numpy(rng.integers(
        0, int(rng.choice([3, 4, 256])), (1, *odd_size(rng))))
    sample = dict(img_path='a.png', seg_map_path='b.png',
                  gt_sem_seg=dict(data=label), pred_sem_seg=dict(
                      data=torch.from_numpy(rng.integers(0, 3, (1, *SIZE)))))

    def call():
        measure.process({}, [sample])
        return {key: value for key, value in measure.evaluate(1).items()
                if key == 'aAcc'}

    return call, ('b.png', )


CODEC_LABELS = dict(
    AffineDepthCodec=lambda rng: extreme(rng, SIZE),
    NormalCodec=lambda rng: extreme(rng, (*SIZE, 3)),
    MatteCodec=lambda rng: extreme(rng, SIZE),
    ColormapCodec=lambda rng: rng.integers(
        -1, int(rng.choice([41, 300])), SIZE))


def _codec_door(name):
    def codec(rng, folder):
        task = CODECS.build(dict(type=f'genpercept_mm.{name}'))
        label = CODEC_LABELS[name](rng)
        mask = rng.random(SIZE) < rng.choice([0, .5, 1])
        output = torch.from_numpy(
            rng.standard_normal((1, task.channels, *SIZE)) * 10.**rng.integers(
                -20, 20)).float()

        def call():
            target, _ = task.encode(label, mask)
            quantity = task.decode(output)
            task.colorize(np.moveaxis(quantity[0].numpy(), 0, -1).squeeze())
            return target, quantity

        return call, (name, )

    codec.__name__ = name
    DOORS[name] = codec


for _name in CODEC_LABELS:
    _codec_door(_name)


# -- arguments ----------------------------------------------------------------


@door()
def arguments(rng, folder):
    """One field of one of our classes gets a value of another type."""
    for registry in (MODELS, DATASETS, TRANSFORMS, METRICS, CODECS):
        registry.import_from_location()
    classes = [cls for registry in (MODELS, DATASETS, TRANSFORMS, METRICS,
                                    CODECS)
               for cls in registry.module_dict.values()
               if cls.__module__.startswith('genpercept_mm')
               and documented_types(cls.__doc__)]
    cls = classes[int(rng.integers(0, len(classes)))]
    field = str(rng.choice(sorted(documented_types(cls.__doc__))))
    value = WRONG[int(rng.integers(0, len(WRONG)))]
    MADE['type'] += 1
    needed = dict(
        SDUNet=dict(arch='mini'),
        VAEDecodeHead=dict(codec=dict(type='genpercept_mm.MatteCodec'),
                           arch='mini'),
        DPTDecodeHead=dict(codec=dict(type='genpercept_mm.MatteCodec')),
        LoadSegLabel=dict(num_ids=3),
        EncodeTarget=dict(codec=dict(type='genpercept_mm.MatteCodec')),
        DSINENormalsDataset=dict(subset='nyuv2'),
        FolderPairsDataset=dict(img_dir='img'),
        HypersimDataset=dict(split='train'),
        HypersimDenseDataset=dict(split='train'),
        DenseResize=dict(scale=(8, 8))).get(cls.__name__, {})
    kwargs = dict(needed, **{field: value})

    def call():
        cls(**kwargs)

    return call, (field, field.split('_')[0], cls.__name__)


def cases(total):
    """Spread a number of cases evenly over the doors."""
    each = max(total // len(DOORS), 1)
    return [(name, seed) for seed in range(each) for name in DOORS]


def main():
    init_default_scope('mmseg')
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    table, others = defaultdict(Counter), []
    for name, seed in cases(total):
        verdict = judge(name, seed)
        if verdict not in ('right', 'clear'):
            others.append((name, seed, verdict))
            verdict = 'else'
        table[name][verdict] += 1
    for name, counts in table.items():
        print(f'{name:28}{sum(counts.values()):6}{counts["right"]:6}'
              f'{counts["clear"]:6}{counts["else"]:6}')
    print(f'{"sum":28}{sum(sum(c.values()) for c in table.values()):6}',
          *(sum(counts[kind] for counts in table.values())
            for kind in ('right', 'clear', 'else')))
    made = sum(MADE.values())
    print('mutations:', ', '.join(f'{kind} {count / made:.0%}'
                                  for kind, count in MADE.most_common()))
    for other in others:
        print(*other)


if __name__ == '__main__':
    main()
