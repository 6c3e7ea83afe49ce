"""What the commands of decig do, as functions.

    import decig

    pixels = {"input_range": (0, 255), "output_range": (0, 255), "channel_order": "rgb"}
    model = decig.load("udnie.onnx", **pixels)
    table = decig.profile(model)
    table.save("udnie.json")
    cut = decig.slice(model, "half.onnx", keep=0.5, repair="photos/")
    verdict = decig.check("half.onnx", model, data="photos/", min_ssim=0.8)
    print(verdict.speedup, verdict.likeness.pairs.ssim, verdict.passed)

Each function does what the command of its name does, and the commands call these functions. MODEL
may be what the commands take (a path, `file.py:Name`, a folder) or what `load` returned. Whatever
is wrong with the input raises a `decig.DecigError` whose message is one line; a warning goes to the
logger "decig".
"""
