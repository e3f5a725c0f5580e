def test_report_names_every_package_and_path(run_python):
    done = run_python('-m', 'genpercept_mm.env', hosts=False)
    rows = {line[:24].strip(): line[24:] for line in done.stdout.split('\n')}
    import mmseg
    import torch
    assert rows['torch'].strip() == torch.__version__
    assert rows['mmsegmentation'].strip() == mmseg.__version__
    assert rows['mmcv ops'].startswith(('stand-in', 'compiled'))
    assert rows['checkpoints'].startswith('weights only')


def test_missing_package_fails_with_the_remedy(run_python):
    # shadow h5py's metadata away by hiding it from the finder
    done = run_python('-c', '''
import importlib.metadata as metadata, importlib.util as util, runpy
real_version, real_find = metadata.version, util.find_spec
def version(name):
    if name.startswith('h5py'):
        raise metadata.PackageNotFoundError(name)
    return real_version(name)
metadata.version = version
util.find_spec = lambda name, *a: None if name == 'h5py' else real_find(
    name, *a)
runpy.run_module('genpercept_mm.env', run_name='__main__', alter_sys=True)
''', check=False, hosts=False)
    assert done.returncode == 1
    line, = [row for row in done.stdout.split('\n')
             if row.startswith('h5py')]
    assert 'MISSING: python tools/install.py' in line
