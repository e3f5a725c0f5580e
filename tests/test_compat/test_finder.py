"""The package is imported before everything else, so it must be light."""


def test_import_is_cheap(run_python):
    """Nothing heavy is imported with the package itself."""
    done = run_python('-c', 'import sys, genpercept_mm;'
                      'print(sorted({"torch", "cv2", "diffusers", "mmcv",'
                      '"mmseg", "transformers"} & set(sys.modules)))',
                      fresh=True)
    assert set(eval(done.stdout)) <= {'torch'}
