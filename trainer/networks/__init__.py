"""Networks: backbones, decoders of dense landmarks, and networks made from files of others."""
