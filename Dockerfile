# hw1 in a container: docker build -t hw1 . && docker run --rm -it -v "$PWD/runs:/hw1/runs" hw1 scripts/hw1 simulate --fn sin-sq
FROM rust:slim
RUN apt-get update && apt-get install -y --no-install-recommends g++ python3-pip && rm -rf /var/lib/apt/lists/*
RUN rustup component add clippy rustfmt
WORKDIR /hw1
COPY . .
# The README's two commands; the second is the gate.
RUN scripts/hw1 simulate --fn sin-sq
RUN scripts/test
CMD ["scripts/hw1", "--help"]
