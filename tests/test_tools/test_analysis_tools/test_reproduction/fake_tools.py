"""A repository whose tools take milliseconds: they import nothing heavy."""
from mmengine.config import Config
from reproduction.plan import plan, read_rows

HEAD = '''
import json, os, runpy, sys, time
cfg = runpy.run_path(sys.argv[1])
work_dir = sys.argv[sys.argv.index('--work-dir') + 1]
seed = int(sys.argv[-1].split('=')[1])
with open(os.environ['TOOL_LOG'], 'a') as file:
    file.write(f'{os.path.basename(sys.argv[0])} {cfg["name"]} {seed} '
               f'{os.environ["OMP_NUM_THREADS"]}\\n')
name = os.path.basename(sys.argv[0])[:-3] + '_' + cfg['name']
if os.environ.get('TOOL_FAILS') == name:
    sys.exit('no data for ' + cfg['name'])
if os.environ.get('TOOL_HANGS') == name:
    with open(os.environ['TOOL_LOG'], 'a') as file:
        file.write('hangs\\n')
    time.sleep(600)
'''
TRAIN = HEAD + '''
os.makedirs(work_dir, exist_ok=True)
# as mmengine says it
print('Iter(train) [ 3/5]')
with open(os.path.join(work_dir, 'iter_5.pth'), 'w') as file:
    json.dump(dict(value=len(cfg['name']) + seed / 10), file)
'''
TEST = HEAD + '''
with open(sys.argv[2]) as file:
    value = json.load(file)['value']
os.makedirs(os.path.join(work_dir, '1'))
with open(os.path.join(work_dir, '1', '1.json'), 'w') as file:
    json.dump(dict(abs_rel=value / cfg['model']['steps'], delta1=0.5,
                   time=9), file)
'''
ROWS = [dict(id='bb', name='bb', config='bb', paper=[1, 2]),
        dict(id='bb-1', name='bb, 1 step', config='bb-1', train_as='bb',
             paper=[1, 2]),
        dict(id='cccc', name='cccc', config='cccc', paper=[1, 2])]


def load_config(path):
    name, _, steps = path.partition('-')
    return Config(dict(
        name=name, model=dict(steps=int(steps or 2)),
        train_cfg=dict(max_iters=5)))


def write_tools(folder):
    """Write ``tools/train.py`` and ``tools/test.py``."""
    tools = folder / 'tools'
    tools.mkdir(parents=True)
    (tools / 'train.py').write_text(TRAIN)
    (tools / 'test.py').write_text(TEST)


def make_trials(work_dir, seeds=(0, ), load=load_config, **options):
    """Three rows, two trainings, as often as there are seeds."""
    return plan(read_rows({'7': dict(rows=ROWS)}), '7', seeds, str(work_dir),
                load, **options)
