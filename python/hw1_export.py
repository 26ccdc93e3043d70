#!/usr/bin/env python3
"""Writes a PyTorch model as a .pt2 that `hw1 analyse` reads. Needs torch 2.9 or newer and nothing else.

    python hw1_export.py resnet.py:make_model --weights model.pth --input 1,3,32,32 -o model.pt2
    python hw1_export.py resnet.py:ResNet --kwargs '{"depth": 18}' --input 1,3,32,32
    python hw1_export.py mypackage.models:gpt --weights model.safetensors --input 1,64:int64

The model: FILE.py:NAME or MODULE:NAME, a class, a function that returns an nn.Module, or a module.
--weights   a .pth or .pt (a state dict, or a dict that holds one as state_dict, model or model_state_dict) or a .safetensors.
            Prefixes module., _orig_mod. and model. are taken off where the names then fit; every name must fit. Weights
            all of float16 or bfloat16 stay so.
--input     the shape of an input, its batch first; of another type than the weights': 1,64:int64. Integers are drawn
            below the size of the smallest nn.Embedding (2 without one), or as said: 1,64:int64:50257. Once per input;
            hw1 gives a model one.
The batch is left open, whatever --input says of it; where torch.export cannot leave it open, it is that of --input.
The model is exported in eval mode on the CPU; of several outputs `logits` or the first tensor is kept; names of parameters
stay. The exported program is held to the model's outputs for batches of 2 and of 3 before it is written; then
`hw1 analyse --check` looks at it, where there is an hw1.

--safetensors FILE also writes the weights alone. For a .pth without the model, one line does it:
    python -c "import torch, safetensors.torch as s; s.save_file({k: v.contiguous() for k, v in torch.load('model.pth', weights_only=True).items()}, 'model.safetensors')"
"""
import pathlib
import sys

try:
    from hw1._export import main
except ModuleNotFoundError as error:
    if error.name not in ("hw1", "hw1._export"):
        raise
    sys.exit(f"{pathlib.Path(__file__).name} needs the package hw1: call it where it lies in a checkout, or install hw1 first.")

if __name__ == "__main__":
    main(__doc__)
