"""README, metafiles and layout agree with what is there."""
import os.path as osp
import re
from glob import glob

import pytest
import yaml
from conftest import ROOT

READMES = ['README.md', *sorted(
    glob('configs/**/README.md', recursive=True) + glob('docs/*.md'))]


@pytest.mark.parametrize('readme', READMES)
def test_links_inside_the_repository_exist(readme):
    with open(readme) as file:
        targets = re.findall(r'\]\(([^)#]+)\)', file.read())
    inside = [t for t in targets if not t.startswith('http')]
    assert inside or readme.startswith('docs/')
    for target in inside:
        assert osp.exists(osp.join(osp.dirname(readme), target)), target


def test_commands_name_tools_and_configs_that_exist():
    text = ''
    for readme in READMES:
        with open(readme) as file:
            text += file.read()
    paths = set(re.findall(r'\b((?:tools|configs)/[\w./-]+\.(?:py|sh))', text))
    assert len(paths) >= 20
    for path in paths:
        assert osp.isfile(path), path


def test_no_placeholder_is_left():
    for readme in READMES:
        with open(readme) as file:
            assert not re.search('@[A-Z_]+@|TODO', file.read())


def test_every_config_is_in_exactly_one_metafile():
    with open('model-index.yml') as file:
        metafiles = yaml.safe_load(file)['Import']
    models, collections = [], set()
    for path in metafiles:
        with open(path) as file:
            content = yaml.safe_load(file)
        collections |= {c['Name'] for c in content['Collections']}
        for collection in content['Collections']:
            assert osp.isfile(collection['README'])
        # those of others have weights and no config
        models += [model for model in content['Models'] if 'Config' in model]
    assert sorted(model['Config'] for model in models) == sorted(
        glob('configs/*.py') + glob('configs/mini/*.py'))
    for model in models:
        assert osp.basename(model['Config']) == model['Name'] + '.py'
        assert model['In Collection'] in collections


def test_metadata_are_those_of_the_configs():
    from mmengine.config import Config
    with open('configs/metafile.yml') as file:
        models = yaml.safe_load(file)['Models']
    for model in models:
        cfg = Config.fromfile(model['Config'])
        metadata = model['Metadata']
        if 'Epochs' in metadata:  # mmpose's schedule, for several GPUs
            assert metadata['Epochs'] == cfg.train_cfg.max_epochs
            assert metadata['Batch Size'] == (
                cfg.auto_scale_lr.base_batch_size)
            continue
        assert cfg.train_cfg.type == 'genpercept_mm.StepBasedTrainLoop'
        assert metadata['Iterations'] == cfg.train_cfg.max_iters
        assert metadata['Batch Size'] == cfg.auto_scale_lr.base_batch_size


def test_every_module_has_a_test_module():
    """genpercept_mm/a/b.py -> tests/test_a/test_b.py"""
    # helpers that the tests of their users cover
    covered = {'version', 'registry', 'env', 'models/utils/sd_archs',
               'compat/probing', 'compat/xtcocotools/mask', 'utils/nyu40'}
    lacking = []
    for path in glob('genpercept_mm/**/*.py', recursive=True):
        name = osp.relpath(path, 'genpercept_mm')[:-3]
        if osp.basename(path) == '__init__.py' or name in covered:
            continue
        mirror = '/'.join(f'test_{part}' for part in name.split('/'))
        if not osp.isfile(f'tests/{mirror}.py'):
            lacking.append(name)
    assert lacking == []
    assert osp.isdir(osp.join(ROOT, 'tests'))


@pytest.mark.parametrize('host', ['mmseg', 'mmdet', 'mmpose'])
def test_scoped_names_resolve_in_a_fresh_process(run_python, host):
    """They resolve from each host's scope, with nothing imported before."""
    done = run_python('-c', f'''
from mmengine.registry import *
init_default_scope({host!r})
names = dict(
    MODELS=['SDUNet', 'OneStepDataPreprocessor', 'VAEDecodeHead',
            'DPTDecodeHead', 'DenseEstimator',
            'LatentDiffusionEstimator', 'MaskedMSELoss', 'MaskedL1Loss',
            'ScaleShiftInvariantLoss',
            'GradientMatchingLoss', 'AngularLoss', 'VirtualNormalLoss',
            'HDNLoss'],
    DATASETS=['HypersimDataset', 'ADE20KNYU40Dataset', 'KITTIDepthDataset',
              'FolderPairsDataset'],
    TRANSFORMS=['LoadHypersimImage', 'LoadHypersimSemantic', 'LoadSegLabel',
                'LoadDepth', 'EncodeTarget', 'PackDenseInputs',
                'SensorDepthNoise'],
    METRICS=['SegIoUMetric', 'AffineDepthMetric', 'SurfaceNormalMetric',
             'DISMetric', 'MattingMetric'],
    HOOKS=['SafeCheckpointHook', 'StrictLoadHook', 'DenseVisualizationHook',
           'SceneVisualizationHook', 'ResumeDataHook', 'ResumeConfigHook',
           'FiniteGuardHook', 'LabelCheckHook', 'ClassNamesHook',
           'TrainedWeightsHook'],
    OPTIM_WRAPPER_CONSTRUCTORS=['SDLayerDecayOptimWrapperConstructor'],
    DATA_SAMPLERS=['MixtureSampler'],
    VISUALIZERS=['DenseLocalVisualizer'])
for registry, types in names.items():
    for name in types:
        found = globals()[registry].get('genpercept_mm.' + name)
        print(found.__name__)
''', hosts=False)
    assert len(done.stdout.split()) == 42
