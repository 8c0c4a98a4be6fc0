using System.Text;
using System.Text.Json;
using Berth.Core.Images;
using Berth.Oci.Images;
using Xunit;
using static Berth.Tests.Registry.Conformance.ConformanceRig;

namespace Berth.Tests.Registry.Conformance;

/// <summary>The category Push: manifests; and Content Management.</summary>
internal static class ManifestRequirements
{
    private const string Push = "Pushing Manifests";
    private const string Subjects = "Pushing Manifests with Subject";
    private const string Tags = "Deleting tags";
    private const string Manifests = "Deleting Manifests";
    private const string Blobs = "Deleting Blobs";
    private static readonly string Absent = "sha256:" + new string('b', 64);

    public static IReadOnlyList<Requirement> All { get; } =
    [
        new("manifest-201", Push, "Upon a successful upload: 201, and a Location that is a pullable manifest URL.",
            async rig =>
            {
                await rig.PushBlobAsync(Config);
                await rig.PushBlobAsync(Layer);
                byte[] manifest = Testing.Registry.RegistryMessages.Manifest(Config, Layer);
                foreach (string reference in (string[])["v1", Sha256(manifest).Text])
                {
                    Answer created = (await rig.PutManifestAsync(reference, manifest)).Expect(201);
                    Assert.Equal(manifest, (await rig.GetAsync(created.Location)).Expect(200).Body);
                }
            }),
        new("manifest-bytes", Push, "The registry MUST store the manifest in the exact byte representation provided.",
            async rig =>
            {
                string plain = Encoding.UTF8.GetString(await rig.PushImageAsync("plain"));
                byte[] odd = Encoding.UTF8.GetBytes($"\n {{ \"x\" : 1.0,{plain[1..]} \r\n");
                (await rig.PutManifestAsync("odd", odd)).Expect(201);
                Assert.Equal(odd, (await rig.GetAsync("manifests/odd")).Expect(200).Body);
            }),
        new("manifest-digest-equal", Push, "Docker-Content-Digest MUST be equal to the client provided digest.",
            async rig =>
            {
                byte[] manifest = await rig.PushImageAsync("v1");
                foreach (string digest in (string[])[Sha256(manifest).Text, Sha512(manifest).Text])
                {
                    (await rig.PutManifestAsync(digest, manifest)).Expect(201)
                        .ExpectHeader("Docker-Content-Digest", digest);
                }

                (await rig.PutManifestAsync(Absent, manifest)).ExpectError(400, "DIGEST_INVALID");
            }),
        new("manifest-no-blobs", Push, "The list of blobs MAY be empty.",
            async rig =>
            {
                byte[] nothing = "{}"u8.ToArray();
                await rig.PushBlobAsync(nothing);
                ImageManifest bare = new(
                    2, MediaTypes.OciManifest,
                    new Descriptor("application/vnd.oci.empty.v1+json", Sha256(nothing).Text, nothing.Length),
                    [], ArtifactType: "text/x");
                byte[] manifest = JsonSerializer.SerializeToUtf8Bytes(bare, OciJson.Default.ImageManifest);
                (await rig.PutManifestAsync("empty", manifest)).Expect(201);
            }),
        new("manifest-tags", Push, "Pushing by digest MAY set tags by `tag` parameters, at least 10, told in OCI-Tag.",
            async rig =>
            {
                byte[] manifest = await rig.PushImageAsync("");
                string[] tags = [.. Enumerable.Range(1, 10).Select(i => $"t{i}")];
                string query = string.Join('&', tags.Select(t => "tag=" + t));
                Answer created = (await rig.PutManifestAsync($"{Sha256(manifest)}?{query}", manifest)).Expect(201);
                Assert.Equal(tags, created.Header("OCI-Tag").Split(", "));
                foreach (string tag in tags)
                {
                    (await rig.GetAsync($"manifests/{tag}")).Expect(200);
                }
            }),
        new("manifest-missing", "Push", "Unknown blobs or manifests MUST result in MANIFEST_BLOB_UNKNOWN.",
            async rig =>
            {
                await rig.PushBlobAsync(Config);
                byte[] manifest = Testing.Registry.RegistryMessages.Manifest(Config, Layer);
                (await rig.PutManifestAsync("v1", manifest)).ExpectError(404, "MANIFEST_BLOB_UNKNOWN");
                byte[] index = Testing.Registry.RegistryMessages.Index([manifest]);
                (await rig.PutManifestAsync("i", index, MediaTypes.OciIndex))
                    .ExpectError(404, "MANIFEST_BLOB_UNKNOWN");
            }),
        new("manifest-limit", Push, "A manifest over the limit SHOULD be answered with 413; 4 megabytes are supported.",
            async rig =>
            {
                byte[] manifest = await rig.PushImageAsync("v1");
                byte[] most = [.. manifest, .. Enumerable.Repeat((byte)' ', 4 * 1024 * 1024 - manifest.Length)];
                (await rig.PutManifestAsync("most", most)).Expect(201);
                (await rig.PutManifestAsync("more", [.. most, (byte)' '])).ExpectError(413, "SIZE_INVALID");
                (await rig.PutManifestAsync("twice", [.. most, .. most])).ExpectError(413, "SIZE_INVALID");
            }),
        new("manifest-invalid", Push, "What is no manifest is refused.",
            async rig => (await rig.PutManifestAsync("v1", "{}"u8.ToArray())).ExpectError(400, "MANIFEST_INVALID")),
        new("manifest-type-mismatch", Push, "The Content-Type SHOULD match the mediaType field: another is refused.",
            async rig =>
            {
                byte[] manifest = await rig.PushImageAsync("v1");
                (await rig.PutManifestAsync("v2", manifest, MediaTypes.DockerManifest))
                    .ExpectError(400, "MANIFEST_INVALID");
                (await rig.PutManifestAsync("v2", manifest, MediaTypes.OciIndex)).ExpectError(400, "MANIFEST_INVALID");
                (await rig.GetAsync("manifests/v2")).Expect(404);
            }),
        new("manifest-any-type", Push, "Configuration and layers of types that the registry does not know are taken.",
            async rig =>
            {
                await rig.PushBlobAsync(Config);
                await rig.PushBlobAsync(Layer);
                byte[] manifest = Artifact("application/vnd.example.layer.v9+br", Sha256(Layer).Text, Layer.Length);
                (await rig.PutManifestAsync("v1", manifest)).Expect(201);
                Assert.Equal(manifest, (await rig.GetAsync("manifests/v1")).Expect(200).Body);
            }),
        new("manifest-foreign", Push, "Layers that may not be distributed need not be in the registry.",
            async rig =>
            {
                await rig.PushBlobAsync(Config);
                byte[] manifest = Artifact("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Absent, 9);
                (await rig.PutManifestAsync("v1", manifest)).Expect(201);
            }),
        new("subject-header", Subjects, "With a subject the registry MUST respond with OCI-Subject.",
            async rig =>
            {
                byte[] image = await rig.PushImageAsync("v1");
                byte[] about = Testing.Registry.RegistryMessages.Manifest(Config, Layer, Subject(image), "text/x");
                (await rig.PutManifestAsync(Sha256(about).Text, about)).Expect(201)
                    .ExpectHeader("OCI-Subject", Sha256(image).Text);
                Assert.Empty((await rig.PutManifestAsync("v1", image)).Header("OCI-Subject"));
            }),
        new("subject-index", Subjects, "Of an image index as of an image manifest.",
            async rig =>
            {
                byte[] image = await rig.PushImageAsync("v1");
                byte[] about = JsonSerializer.SerializeToUtf8Bytes(
                    new ImageIndex(2, MediaTypes.OciIndex, [], Subject(image), "text/x"), OciJson.Default.ImageIndex);
                (await rig.PutManifestAsync(Sha256(about).Text, about, MediaTypes.OciIndex)).Expect(201)
                    .ExpectHeader("OCI-Subject", Sha256(image).Text);
            }),
        new("subject-missing", "Push", "A registry MUST accept a manifest with a subject that does not exist (yet).",
            async rig =>
            {
                await rig.PushImageAsync(
                    "sbom", new Descriptor(MediaTypes.OciManifest, Absent, 3), "application/vnd.example.sbom.v1");
                Assert.Single((await rig.GetAsync($"referrers/{Absent}")).Expect(200).Json
                    .GetProperty("manifests").EnumerateArray());
            }),
        new("delete-tag", Tags, "Upon success, the registry MUST respond with 202; then a GET will return 404.",
            async rig =>
            {
                byte[] manifest = await rig.PushImageAsync("v1");
                (await rig.PutManifestAsync("v2", manifest)).Expect(201);
                (await rig.DeleteAsync("manifests/v1")).Expect(202);
                (await rig.GetAsync("manifests/v1")).ExpectError(404, "MANIFEST_UNKNOWN");
                (await rig.GetAsync("manifests/v2")).Expect(200);
                (await rig.DeleteAsync("manifests/v1")).Expect(404);
            }),
        new("delete-manifest", Manifests, "202; then a GET of it and of any tag pointing to it will return 404.",
            async rig =>
            {
                byte[] manifest = await rig.PushImageAsync("v1");
                (await rig.DeleteAsync($"manifests/{Sha256(manifest)}")).Expect(202);
                (await rig.GetAsync($"manifests/{Sha256(manifest)}")).Expect(404);
                (await rig.GetAsync("manifests/v1")).Expect(404);
            }),
        new("delete-repository-404", Manifests, "If the repository does not exist, the response MUST return 404.",
            async rig => (await rig.DeleteAsync($"/v2/no/such/manifests/{Absent}")).Expect(404)),
        new("delete-blob", Blobs, "Upon success, the registry MUST respond with 202.",
            async rig =>
            {
                Digest digest = await rig.PushBlobAsync(Layer);
                (await rig.DeleteAsync($"blobs/{digest}")).Expect(202);
                (await rig.GetAsync($"blobs/{digest}")).Expect(404);
            }),
        new("delete-blob-404", Blobs, "If the blob is not found, a 404 code MUST be returned.",
            async rig => (await rig.DeleteAsync($"blobs/{Absent}")).ExpectError(404, "BLOB_UNKNOWN")),
    ];

    private static byte[] Artifact(string layerType, string layer, long size) => JsonSerializer.SerializeToUtf8Bytes(
        new ImageManifest(
            2, MediaTypes.OciManifest,
            new Descriptor("application/vnd.example.config.v9", Sha256(Config).Text, Config.Length),
            [new Descriptor(layerType, layer, size)]),
        OciJson.Default.ImageManifest);
}
