# "Customized loss"; the depth model of table 6
_base_ = ['../_base_/baseline.py']
model = dict(
    decode_head=dict(
        loss_latent=None,
        loss_decode=[
            dict(type='genpercept_mm.MaskedMSELoss', loss_weight=1.0),
            dict(
                type='genpercept_mm.ScaleShiftInvariantLoss',
                loss_weight=0.5),
            # scales=1, directions='vertical' is what the official code does
            dict(type='genpercept_mm.GradientMatchingLoss', loss_weight=2.0)
        ]))
