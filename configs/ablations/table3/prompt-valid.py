_base_ = ['../_base_/baseline.py']
model = dict(backbone=dict(prompt='A high quality RGB image'))
