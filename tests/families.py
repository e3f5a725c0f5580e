"""Small random folders in the layouts of Lotus and E2E-FT, and what their own
code computes; nothing of genpercept_mm takes part in that."""
import json

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from weights import write_text_encoder

from genpercept_mm.apis import DenseInferencer
from genpercept_mm.converters.recognition import convert_any
from genpercept_mm.models.utils.sd_archs import ARCHS

# sqrt(alpha-bar) and sqrt(1 - alpha-bar) of SD's schedule at 999, in double
_BETAS = torch.linspace(.00085**.5, .012**.5, 1000, dtype=torch.float64)**2
ALPHA = float((1 - _BETAS).prod())
# (H, W) at which the network runs are multiples of 8 and not
CASES = [((48, 64), 64), ((45, 67), 61), ((90, 50), 64)]
# x points left in DSINE's axes
TASKS = [('depth', 1), ('normal', np.array([-1, 1, 1]))]


class Family:
    """A folder of a family and its networks.

    Args:
        root (pathlib.Path): Folder to write.
        in_channels (int): Input channels of the U-Net.
        lotus (bool): With a task vector; otherwise as E2E-FT.
    """

    def __init__(self, root, in_channels, lotus):
        torch.manual_seed(1)
        more = dict(class_embed_type='projection',
                    projection_class_embeddings_input_dim=4) if lotus else {}
        self.unet = UNet2DConditionModel(**dict(
            ARCHS['mini']['unet'], in_channels=in_channels, **more)).eval()
        self.vae = AutoencoderKL(**ARCHS['mini']['vae']).eval()
        root.mkdir()
        self.encoder = write_text_encoder(root)
        with torch.no_grad():
            # outputs that fill the range and depend on the image
            self.unet.conv_out.weight.mul_(2)
            self.vae.quant_conv.weight.mul_(4)
            self.vae.decoder.conv_out.weight.mul_(2)
        self.unet.save_pretrained(root / 'unet')
        self.vae.save_pretrained(root / 'vae')
        DDIMScheduler(
            beta_start=.00085, beta_end=.012, beta_schedule='scaled_linear',
            clip_sample=False, set_alpha_to_one=False, steps_offset=1,
            prediction_type='sample' if lotus else 'v_prediction',
            timestep_spacing='leading' if lotus else 'trailing',
        ).save_pretrained(root / 'scheduler')
        (root / 'model_index.json').write_text(json.dumps(dict(
            _class_name='StableDiffusionPipeline' if lotus else
            'MarigoldPipeline')))
        self.folder = str(root)
        # exact, so that only what is computed can differ
        self.unet.double(), self.vae.double()

    def _prompt(self, count):
        # the two ends of a text
        tokens = self.encoder(torch.tensor([[2, 3]]))[0]
        return tokens.expand(count, -1, -1).double()

    def _encode(self, image):
        moments = self.vae.quant_conv(self.vae.encoder(image.double()))
        return moments[:, :4] * self.vae.config.scaling_factor

    def _decode(self, latent):
        return self.vae.decoder(self.vae.post_quant_conv(
            latent / self.vae.config.scaling_factor))

    @torch.no_grad()
    def lotus(self, image, edge, task, noise=None):
        """Upstream's pipeline.py:1085-1150 (D) and 1297-1350 (G), and
        infer.py:180-215, with the mean of the image latent.

        Args:
            image (np.ndarray): (H, W, 3) uint8 RGB.
            edge (int): ``processing_res``.
            task (str): ``'depth'`` or ``'normal'``.
            noise (Tensor, optional): (1, 4, h, w), for G.

        Returns:
            np.ndarray: (H, W) in [0, 1], or (H, W, 3) in [-1, 1].
        """
        height, width = image.shape[:2]
        rgb = torch.from_numpy(image.astype(np.float32)).permute(
            2, 0, 1)[None] / 127.5 - 1
        factor = min(edge / width, edge / height)
        rgb = F.interpolate(
            rgb, (int(height * factor), int(width * factor)),
            mode='bilinear', antialias=True)
        latent = self._encode(rgb)
        task_emb = torch.tensor([[1., 0.]])
        task_emb = torch.cat([task_emb.sin(), task_emb.cos()], -1).double()
        given = latent if noise is None else torch.cat(
            [latent, noise.double()], 1)
        clean = self.unet(given, torch.tensor(999), self._prompt(1),
                          class_labels=task_emb, return_dict=False)[0]
        output = (self._decode(clean) / 2 + .5).clamp(0, 1)
        output = F.interpolate(output, (height, width), mode='nearest-exact')
        output = output[0].permute(1, 2, 0).numpy()
        return output.mean(-1) if task == 'depth' else output * 2 - 1

    @torch.no_grad()
    def e2e_ft(self, image, edge, task):
        """Upstream's Marigold/marigold/marigold_pipeline.py:220-340 and
        375-520, one step from zeros, ensembles of one.

        Args:
            image (np.ndarray): (H, W, 3) uint8 RGB.
            edge (int): ``processing_res``.
            task (str): ``'depth'`` or ``'normal'``.

        Returns:
            np.ndarray: (H, W) in [0, 1], or (H, W, 3).
        """
        height, width = image.shape[:2]
        rgb = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        factor = min(edge / width, edge / height)
        # torchvision resizes uint8 in float and rounds
        rgb = F.interpolate(
            rgb, (int(height * factor), int(width * factor)),
            mode='bilinear', antialias=True).round()
        latent = self._encode(rgb / 255 * 2 - 1)
        given = torch.cat([latent, torch.zeros_like(latent)], 1)
        velocity = self.unet(given, torch.tensor(999), self._prompt(1),
                             return_dict=False)[0]
        # DDIM's pred_original_sample from a sample of zeros
        output = self._decode(-(1 - ALPHA)**.5 * velocity)
        if task == 'depth':
            output = (output.mean(1, keepdim=True).clip(-1, 1) + 1) / 2
            low, high = output.min(), output.max()
            output = (output - low) / (high - low)
        else:
            for _ in range(2):
                output = output / (output.norm(dim=1, keepdim=True) + 1e-5)
        output = F.interpolate(
            output, (height, width), mode='bilinear', antialias=True)
        output = output[0].permute(1, 2, 0).numpy()
        return output[..., 0].clip(0, 1) if task == 'depth' else (
            output.clip(-1, 1))


def picture(size):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def predict(folder, task, image, edge, tmp_path):
    """Through the converter and a checkpoint, as a user would."""
    path = str(tmp_path / 'out.pth')
    convert_any(folder, task=task).save(path)
    inferencer = DenseInferencer(path, device='cpu')
    inferencer.model.double()
    result = inferencer(image, size=edge, channel_order='rgb')
    return result[inferencer.quantity]


def close(ours, theirs):
    assert theirs.std() > .02
    assert np.abs(ours - theirs).max() <= 1e-5 * max(np.abs(theirs).max(), 1)
