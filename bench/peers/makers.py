"""The makers' models of Hugging Face's transformers, in float64. Reads one job from the standard input, a JSON object: { class, config, floats, bin, tensors:
{ name: { shape, at } } (float32 values in the file `bin`, from the value `at`), ids };
`floats` names settings whose lists JSON may have made whole. Prints the version and the logits after every token as JSON."""
import json
import sys

import numpy
import torch
import transformers

job = json.load(sys.stdin)
values = numpy.fromfile(job["bin"], dtype=numpy.float32)


def tensor(shape, at):
    count = int(numpy.prod(shape))
    return torch.from_numpy(values[at : at + count].astype(numpy.float64)).reshape(shape)


for name in job["floats"]:
    job["config"][name] = [float(v) for v in job["config"][name]]
kind = getattr(transformers, job["class"])
config = kind.config_class(**job["config"])
config._attn_implementation = "eager"
torch.set_default_dtype(torch.float64)
model = kind(config).double().eval()
missing, unexpected = model.load_state_dict({name: tensor(**t) for name, t in job["tensors"].items()}, strict=False)
if config.tie_word_embeddings:
    missing = [name for name in missing if name != "lm_head.weight"]
    model.tie_weights()
if missing or unexpected:
    sys.exit(f"missing {missing}, unexpected {unexpected}")
with torch.no_grad():
    logits = model(torch.tensor([job["ids"]]), use_cache=False).logits[0]
print(json.dumps({"version": transformers.__version__, "rows": logits.double().tolist()}))
