#!/usr/bin/env bash
# Builds models/shoal-guide.gguf from nothing: corpus, tokenizer, training, export, comparison with llama.cpp,
# evaluation. An interrupted run goes on where its last checkpoint was.
#
#   tools/guide-model/build.sh [--work DIR] [--steps N] [--threads N]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$here/.work steps=1750 threads=1
while [ $# -gt 0 ]; do
  case $1 in
    --work) work=$2 ;; --steps) steps=$2 ;; --threads) threads=$2 ;;
    *) echo "unknown option: $1" >&2; exit 2 ;;
  esac
  shift 2
done
python=${PYTHON:-python3}
"$python" -c 'import torch, numpy' || {
  echo "PyTorch and NumPy are missing. On Debian: apt-get install python3-torch python3-numpy libopenblas0-pthread" >&2
  exit 1
}

export OMP_NUM_THREADS=$threads OPENBLAS_NUM_THREADS=$threads
# Without these glibc hands every large tensor back to the kernel and pays for fresh pages: 4 times slower on long rows.
export MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=268435456
# OpenBLAS before 0.3.24 does not know newer AMD processors and takes AVX2 kernels on them: half the speed.
if grep -q avx512vl /proc/cpuinfo 2>/dev/null; then export OPENBLAS_CORETYPE=${OPENBLAS_CORETYPE:-SkylakeX}; fi

mkdir -p "$work/llama"
nice -n 5 "$python" "$here/train.py" --out "$work/training" --steps "$steps" --threads "$threads"
"$python" "$here/export.py" "$work/training" "$work/shoal-guide.gguf"

if [ ! -d "$work/llama/node_modules/node-llama-cpp" ]; then
  (cd "$work/llama" && npm init -y >/dev/null && npm install --ignore-scripts --no-audit --no-fund node-llama-cpp@3.21.1)
fi
"$python" "$here/compare.py" "$work/training" "$work/shoal-guide.gguf" --llama "$work/llama"
for questions in evaluation evaluation-fresh; do
  node "$here/evaluate.mjs" --llama "$work/llama" --model "$work/shoal-guide.gguf" --questions "$here/$questions.json" --out "$work/$questions-report.json"
done
cp "$work/shoal-guide.gguf" "$here/../../models/shoal-guide.gguf"
