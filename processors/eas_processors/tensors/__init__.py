"""What the presets for tensors (TensorFlow, PyTorch, ONNX, Caffe) have in common."""
