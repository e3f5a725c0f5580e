_base_ = ['../_base_/baseline.py']
model = dict(backbone=dict(prompt='F3@qV!k2*#Zp^n%1Lz'))
