# default_runtime.py for dense quantities
_base_ = ['default_runtime.py']
visualizer = dict(type='genpercept_mm.DenseLocalVisualizer')
custom_hooks = [dict(type='genpercept_mm.ResumeDataHook')]
tta_model = dict(_delete_=True, type='genpercept_mm.DenseTTAModel')
