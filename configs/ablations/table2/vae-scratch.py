# The official config of that name fine-tunes the pretrained decoder instead:
# decoder='finetune'
_base_ = ['image-mse.py']
model = dict(decode_head=dict(decoder='scratch'))
