"""Checkpoints: self-contained directories from which a run resumes and a model samples, without pickles.

step-000001000/
  model.safetensors      the weights that are scored
  model.json             settings by type name, vocabulary and n-gram sizes, direction, format version, training corpus,
                         and what the frozen language models in it are
  vocab.json             the vocabulary
  labels.json            the labels or tags that the model predicts; absent for a language model
  conditions.json        the labels that a language model can be given; absent without such conditions
  source/vocab.json      the vocabulary of the texts that it is given; absent without such conditions
  ngrams.safetensors     the tables of its n-gram component, which hold training text; absent without one
  training.safetensors   optimizer, RNG, carried state        } for resuming only
  training.json          step, data cursor, best score, time  }
  manifest.json          sizes and SHA-256 of all other files; written last, it marks the checkpoint as complete

description    what it says about its model        saving    written        hashes         which weights these are
loading        its model, with the weights                                  resume_data    what a resumed run needs
"""

from charlm.checkpoint.description import ModelDescription, describe_model, make_interface
from charlm.checkpoint.hashes import checkpoint_hash, weights_hash
from charlm.checkpoint.loading import LoadedModel, load_model
from charlm.checkpoint.resume_data import ResumeData, load_resume_data
from charlm.checkpoint.saving import save_checkpoint, save_fp16

__all__ = [
    "LoadedModel",
    "ModelDescription",
    "ResumeData",
    "checkpoint_hash",
    "describe_model",
    "load_model",
    "load_resume_data",
    "make_interface",
    "save_checkpoint",
    "save_fp16",
    "weights_hash",
]
