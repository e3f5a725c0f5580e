# The same network at a size for a laptop, from the small prior that ships
# with the package (tools/analysis_tools/pretrain_mini.py made it)
_base_ = ['genpercept_vae.py']
model = dict(
    backbone=dict(
        arch='mini',
        pretrained='mini',
        # in short trainings better than 'random', see docs/table_3_mini.md
        train_timestep=1),
    decode_head=dict(arch='mini', pretrained='mini'))
