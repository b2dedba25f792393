#!/usr/bin/env bash
# Trains all that docs/results.md shows, one after the other: on an otherwise idle machine, or the times mean nothing.
#
#   bash docs/results.sh DATA OUT snnrun        # the presets, into OUT/runs
#   bash docs/results.sh DATA OUT libraries     # the libraries' side, into OUT/records; needs pip install -e ".[benchmark]"
#   python docs/make_results.py OUT/runs OUT/records
#
# DATA is the data_dir of snnrun, with MNIST and Fashion-MNIST. PYTHON chooses another interpreter than python.
set -euo pipefail

data=$(realpath "$1") out=$(realpath -m "$2") side=$3
python=${PYTHON:-python}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
narrow='model.layers=[16c3p1,mp2,16c3p1,mp2,fc256]'

snnrun() { "$python" -m snnrun "data_dir=$data" "output_dir=$out/runs" report.figures=false report.progress=false "$@"; }
library() { "$python" -m benchmarks.published "$@" --data "$data" --out "$out/records"; }
beside() { "$python" -m benchmarks.published.beside "$@" --data "$data" --out "$out/records"; }

if [[ $side == snnrun ]]; then
  for seed in 0 1 2 3 4; do
    snnrun experiment=zero_target seed=$seed
    snnrun experiment=zero_target_article seed=$seed
    snnrun experiment=snntorch_tutorial_5 seed=$seed
    snnrun experiment=snntorch_population seed=$seed
    snnrun experiment=snntorch_population loss.population=1 seed=$seed
    snnrun experiment=spikingjelly_lif_fc epochs=1 seed=$seed
  done
  for seed in 0 1 2; do
    snnrun experiment=snntorch_tutorial_6 seed=$seed
    snnrun experiment=spikingjelly_csnn "$narrow" max_steps=200 seed=$seed
  done
elif [[ $side == libraries ]]; then
  for name in snntorch_tutorial_5 snntorch_population snntorch_population_without snntorch_tutorial_6 \
    spikingjelly_lif_fc spikingjelly_csnn_narrow; do
    beside "$name"
  done
  beside spikingjelly_csnn --updates 5
  for seed in 0 1 2 3 4; do
    library snntorch_tutorial_5 --seed $seed
    library snntorch_population --seed $seed
    library snntorch_population_without --seed $seed
    library spikingjelly_lif_fc --epochs 1 --seed $seed
  done
  for seed in 0 1 2; do
    library snntorch_tutorial_6 --seed $seed
    library spikingjelly_csnn_narrow --updates 200 --seed $seed
  done
else
  echo "expected snnrun or libraries, got $side" >&2
  exit 2
fi
