#!/usr/bin/env bash
# From pristine photos to the model `lite`, and to every number of docs/model_card.md.
#
#     pip install -e '.[train,benchmarks,explain,openvino]'
#     PRISTINE=photos CLIVE=ChallengeDB_release BIQ2021=BIQ2021 runs/lite.sh
#
# The model takes forty minutes on two idle cores, the figures take longer. A shorter try of the whole way:
# LIMIT=2 TRAIN="--set draws=60 --set composed_draws=8 --set trunk_steps=4" runs/lite.sh
# A step whose data set is not on this disk is left out, with a line that says so. Killed runs of `train` and
# `run` continue from where they were.
set -euo pipefail
cd "$(dirname "$0")/.."

OUT="${OUT:-results/lite}"          # everything is written here
PRISTINE="${PRISTINE:-pristine}"    # folders bsds500, cid22, gb82 and kodak: docs/lab/index.md says where from
CLIVE="${CLIVE:-}"                  # LIVE in the Wild, the folder ChallengeDB_release
BIQ2021="${BIQ2021:-}"              # BIQ2021, the folder with both csv files
WALLPAPERS="${WALLPAPERS:-}"        # large camera photos, for the effect of the size
TRAIN="${TRAIN:-}"                  # further options of `qualiclip train`
LIMIT="${LIMIT:-12}"                # photos per figure of robustness and maps

step() { printf '\n== %s (after %d s)\n' "$1" "$SECONDS"; }
mkdir -p "$OUT"

# --- the model ----------------------------------------------------------------------------------------

# Crops of 775 pristine photos are degraded 3,500 times, and MDSI ranks them. ImageNet's EfficientNet-Lite0 is
# fine-tuned to the ranks, and a linear head is solved for in closed form. No human score takes part. Kodak's photos
# stay out: they are the test of the order of degradations. The diagnosis is fitted last, to versions of 160 photos.
step "train"
# shellcheck disable=SC2086  # TRAIN is a list of options
qualiclip train --config configs/lite.toml --out "$OUT/run" $TRAIN \
    --images "$PRISTINE/bsds500" --images "$PRISTINE/cid22" --images "$PRISTINE/gb82"

# The copy in fp16 is what the package embeds as qualiclip_metric/data/lite.safetensors.
step "export"
MODEL="$OUT/lite.safetensors"
qualiclip export --model "$OUT/run/model.safetensors" --format safetensors-fp16 "$MODEL"
ls -l "$MODEL"

# Scores of known images. With the same photos and threads as ours they are those of benchmarks/golden/lite.json;
# where they moved, CHANGELOG.md says under Scores which, and by how much.
step "golden values"
python -m benchmarks golden freeze --metric "$MODEL" --out "$OUT/golden.json"
python -m benchmarks golden check benchmarks/golden/lite.json --metric "$MODEL" || true

# --- agreement with people ----------------------------------------------------------------------------

# CLIVE is the development set: its figures are no evidence for unseen photos. Where only a part of the images
# is on the disk, the figures are of that part, and the tables say so.
agreement() {
    if [ -z "$2" ]; then
        echo "left out: $1 needs its folder, as in ${1^^}=FOLDER"
        return
    fi
    python -m benchmarks run --metric "$MODEL" --metric sharpness --metric jpegsize --metric pyiqa:piqe \
        --dataset "$1=$2" --allow-missing --out "$OUT/$1"
    python -m benchmarks compare --results "$OUT/$1"
}
step "CLIVE"
agreement clive "$CLIVE"
step "BIQ2021"
agreement biq2021 "$BIQ2021"

# What qualiclip_metric/data/lite-reference.json is: how the scores of everyday photos are distributed, without MOS.
step "the reference for percentiles"
if [ -n "$CLIVE" ] && [ -n "$BIQ2021" ]; then
    qualiclip reference --model "$MODEL" --images "$CLIVE/Images" --images "$BIQ2021/Images" \
        --name "everyday photos" --out "$OUT/lite-reference.json"
else
    echo "left out: it needs the photos of both, as in CLIVE=FOLDER BIQ2021=FOLDER"
fi

step "keep or reject: how often is a bar wrong?"
if [ -n "$CLIVE" ]; then
    python -m benchmarks rejection --results "$OUT/clive"
else
    echo "left out: it needs the opinions of CLIVE"
fi

# --- what the score sees ------------------------------------------------------------------------------

step "order of 24 degradations, on photos that training did not see"
qualiclip validate --model "$MODEL" --images "$PRISTINE/kodak"

step "order across contents, beside full-reference metrics"
qualiclip validate --model "$MODEL" --images "$PRISTINE/kodak" --across

step "is the fault of a degraded photo named, and none of photos that training did not see?"
python -m benchmarks diagnosis --model "$MODEL" --images "$PRISTINE/kodak" --out "$OUT/diagnosis.json" \
    --undegraded "BSDS500=$PRISTINE/bsds500" --undegraded "CID22=$PRISTINE/cid22" \
    --undegraded "GB82=$PRISTINE/gb82" --held-out 0.05

step "do maps find a fault, and do profiles name it?"
python -m benchmarks explain --model "$MODEL" --images "$PRISTINE/kodak" --limit "$LIMIT" --side 512 \
    --out "$OUT/explain.json"

step "which prompts carry the score?"
python -m benchmarks prompts --model "$MODEL" --images "$PRISTINE/kodak" --limit "$LIMIT" --out "$OUT/prompts"

# --- what the score should not see --------------------------------------------------------------------

step "changes that nobody sees, and an attack"
python -m benchmarks robustness --metric "$MODEL" --metric sharpness --metric jpegsize \
    --images "$PRISTINE/kodak" --limit "$LIMIT" --results "$OUT/robustness"

step "the number of pixels"
if [ -n "$WALLPAPERS" ]; then
    python -m benchmarks sizes --model "$MODEL" --images "$WALLPAPERS" --out "$OUT/sizes.json"
else
    echo "left out: it needs large camera photos, as in WALLPAPERS=FOLDER"
fi

# --- time ---------------------------------------------------------------------------------------------

# Of the embedded model, which has the same layers.
step "images per second, and from the start of the command to its end"
python -m benchmarks speed lite
python -m benchmarks speed first --count 1 --count 100

step "done: everything is in $OUT"
