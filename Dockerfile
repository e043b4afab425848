# docker build -t gossip:0.1.0 .
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release -p gossip-cli

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/gossip /usr/bin/gossip
ENTRYPOINT ["/usr/bin/gossip"]
