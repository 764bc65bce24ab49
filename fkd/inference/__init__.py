"""Prediction: from any image to keypoints, in torch or ONNX, and the export of a net."""
