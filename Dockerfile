# Two images, targets `aggregator` and `agent`, from one build.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# Without debug information the images are a tenth of the size.
RUN CARGO_PROFILE_RELEASE_DEBUG=none cargo build --locked --release -p phaseline-aggregator -p phaseline-agent \
 && install -D -t /out target/release/phaseline-aggregator target/release/phaseline-agent \
 && rm -rf target

FROM debian:bookworm-slim AS base
RUN groupadd --gid 10001 phaseline \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/phaseline --no-create-home --shell /usr/sbin/nologin phaseline
# For NATS servers with TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER phaseline

FROM base AS aggregator
COPY --from=build /out/phaseline-aggregator /usr/local/bin/
EXPOSE 8080
ENTRYPOINT ["phaseline-aggregator"]

FROM base AS agent
USER root
# Any user may write here: the agent runs as whoever may read the watched files.
RUN install -d -m 1777 /var/lib/phaseline
USER phaseline
COPY --from=build /out/phaseline-agent /usr/local/bin/
ENTRYPOINT ["phaseline-agent"]
