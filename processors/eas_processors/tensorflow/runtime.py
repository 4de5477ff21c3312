"""The import of TensorFlow, and what a process decides once: threads, devices, how much TensorFlow prints.

TensorFlow prints a dozen lines when it starts, of instructions and drivers that nobody misses. They stay out
of the log unless ``processor_envs`` sets TF_CPP_MIN_LOG_LEVEL (0: everything). Its remark about oneDNN obeys
no variable; it stays, for holding back stderr would lose what a dying import says.
"""

from __future__ import annotations

import contextlib
import logging
import os

_ASKED_FOR = "TF_CPP_MIN_LOG_LEVEL" in os.environ
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"  # read by the import; another backend can't export to a graph

import tensorflow as tf  # noqa: E402 - after the variables that it reads

from eas_processors import gpu_memory  # noqa: E402
from eas_processors.tensorflow.options import Options  # noqa: E402

_LOG = logging.getLogger(__name__)

if not _ASKED_FOR:
    tf.get_logger().setLevel(logging.ERROR)  # deprecations that concern whoever made the model

__all__ = ["session_config", "set_up", "tf"]


def set_up(options: Options, device: str) -> None:
    """For what runs outside sessions: the loading of Keras files. Has no effect once TensorFlow has run."""
    if device != "gpu":
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")
    elif not tf.config.list_physical_devices("GPU"):
        _LOG.warning(
            "NO GPU: this service asks for TensorFlow on a GPU, and TensorFlow finds none "
            "(no card, no driver, or a TensorFlow built without CUDA). The model RUNS ON THE CPU, far slower."
        )
    else:
        with contextlib.suppress(RuntimeError):
            gpu_memory.cap_tensorflow(tf.config, gpu_memory.cap())
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(options.intra_op_threads)
        tf.config.threading.set_inter_op_parallelism_threads(options.inter_op_threads)


def session_config(options: Options, device: str) -> tf.compat.v1.ConfigProto:
    """The session's settings.

    Operations placed on a device that isn't there run on one that is. Threads: TensorFlow's pool of
    ``intra_op_threads`` is the process's, made by its first session; -1 as the number of ``inter_op`` threads
    makes a session run everything in the thread that called it, without waking another.
    """
    config = tf.compat.v1.ConfigProto(
        allow_soft_placement=True,
        intra_op_parallelism_threads=options.intra_op_threads,
        inter_op_parallelism_threads=options.inter_op_threads if options.inter_op_threads > 1 else -1,
    )
    if device == "gpu":
        config.gpu_options.allow_growth = True
        if most := gpu_memory.megabytes(gpu_memory.cap()):
            config.gpu_options.experimental.virtual_devices.add(memory_limit_mb=[most])
    else:
        config.device_count["GPU"] = 0
    return config
