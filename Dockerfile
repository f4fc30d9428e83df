# layersift alone: a static binary of `.ci/release`, and nothing else. No certificates are needed, they are in the binary.
#
#   .ci/release x86_64-unknown-linux-musl
#   docker build --build-arg BINARY=dist/layersift-x86_64-unknown-linux-musl --tag layersift .
#   docker save app | docker run --rm --interactive layersift scan -
FROM scratch
ARG BINARY=dist/layersift-x86_64-unknown-linux-musl
COPY --chmod=0755 ${BINARY} /layersift
# Nobody: it reads, and writes reports where a folder is mounted for them.
USER 65532:65532
ENTRYPOINT ["/layersift"]
CMD ["--help"]
LABEL org.opencontainers.image.title="layersift" \
      org.opencontainers.image.description="Finds secrets in every layer of a container image, including what later layers deleted" \
      org.opencontainers.image.source="https://github.com/layersift/layersift" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
