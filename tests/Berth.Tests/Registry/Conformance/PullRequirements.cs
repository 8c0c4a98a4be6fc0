using System.Text;
using Berth.Core.Images;
using Berth.Oci.Images;
using Xunit;
using static Berth.Tests.Registry.Conformance.ConformanceRig;

namespace Berth.Tests.Registry.Conformance;

/// <summary>The category Pull, and what holds for every request.</summary>
internal static class PullRequirements
{
    private const string Manifests = "Pulling manifests";
    private const string Blobs = "Pulling blobs";
    private const string Existence = "Checking if content exists in the registry";
    private static readonly string Absent = "sha256:" + new string('a', 64);

    public static IReadOnlyList<Requirement> All { get; } =
    [
        new("base", "Determining Support",
            "If the response is 200 OK, then the registry implements this specification.",
            async rig => (await rig.GetAsync("/v2/")).Expect(200)),
        new("name-depth", Manifests, "<name> MUST match the regular expression, which has any number of components.",
            async rig =>
            {
                string deep = "/v2/a/b__c/d-e/f.g/0/tags/manifests";
                (await rig.PostAsync($"{deep}/blobs/uploads/?digest={Sha256(Layer)}", Layer)).Expect(201);
                (await rig.GetAsync($"{deep}/blobs/{Sha256(Layer)}")).Expect(200);
            }),
        new("name-invalid", Manifests, "<name> MUST match the regular expression: others are refused.",
            async rig =>
            {
                foreach (string bad in (string[])["Upper", "-a", "a..b", "a//b", "a_", "a___b"])
                {
                    (await rig.GetAsync($"/v2/{bad}/manifests/v1")).Expect(400, 404);
                    (await rig.PostAsync($"/v2/{bad}/blobs/uploads/")).Expect(400, 404);
                }
            }),
        new("tag-form", Manifests, "<reference> as a tag MUST be at most 128 characters and MUST match the expression.",
            async rig =>
            {
                byte[] manifest = await rig.PushImageAsync(new string('t', 128));
                (await rig.GetAsync("manifests/" + new string('t', 128))).Expect(200);
                (await rig.PutManifestAsync(new string('t', 129), manifest)).Expect(400, 404);
                (await rig.PutManifestAsync(".hidden", manifest)).Expect(400, 404);
                (await rig.PutManifestAsync("a+b", manifest)).Expect(400, 404);
            }),
        new("manifest-get", Manifests,
            "A GET request to an existing manifest URL MUST provide the manifest with 200 OK.",
            async rig =>
            {
                byte[] manifest = await rig.PushImageAsync("v1");
                Assert.Equal(manifest, (await rig.GetAsync("manifests/v1")).Expect(200).Body);
                Assert.Equal(manifest, (await rig.GetAsync($"manifests/{Sha256(manifest)}")).Expect(200).Body);
            }),
        new("manifest-digest", Manifests, "A successful response MUST contain the digest in Docker-Content-Digest.",
            async rig =>
            {
                byte[] manifest = await rig.PushImageAsync("v1");
                string digest = Sha256(manifest).Text;
                (await rig.GetAsync("manifests/v1")).ExpectHeader("Docker-Content-Digest", digest);
                (await rig.GetAsync($"manifests/{digest}")).ExpectHeader("Docker-Content-Digest", digest);
            }),
        new("manifest-digest-algorithm", Manifests, "The digest told is in the algorithm of the digest asked for.",
            async rig =>
            {
                byte[] manifest = await rig.PushImageAsync("v1");
                string digest = Sha512(manifest).Text;
                (await rig.PutManifestAsync(digest, manifest)).Expect(201)
                    .ExpectHeader("Docker-Content-Digest", digest);
                (await rig.GetAsync($"manifests/{digest}")).Expect(200).ExpectHeader("Docker-Content-Digest", digest);
                (await rig.HeadAsync($"manifests/{digest}")).Expect(200).ExpectHeader("Docker-Content-Digest", digest);
                (await rig.GetAsync("manifests/v1")).ExpectHeader("Docker-Content-Digest", Sha256(manifest).Text);
            }),
        new("manifest-type", Manifests, "The Content-Type SHOULD match what the client pushed, without parameters.",
            async rig =>
            {
                await rig.PushBlobAsync(Config);
                byte[] index = Encoding.UTF8.GetBytes("""{"schemaVersion":2,"manifests":[]}""");
                (await rig.PutManifestAsync("i", index, MediaTypes.OciIndex)).Expect(201);
                (await rig.GetAsync("manifests/i")).ExpectHeader("Content-Type", MediaTypes.OciIndex);
                (await rig.PutManifestAsync("p", index, MediaTypes.OciIndex + "; charset=utf-8")).Expect(201);
                (await rig.GetAsync("manifests/p")).ExpectHeader("Content-Type", MediaTypes.OciIndex);
            }),
        new("manifest-404", Manifests, "If the manifest is not found in the repository, the code MUST be 404.",
            async rig =>
            {
                await rig.PushImageAsync("v1");
                (await rig.GetAsync("manifests/v2")).ExpectError(404, "MANIFEST_UNKNOWN");
                (await rig.GetAsync($"manifests/{Absent}")).ExpectError(404, "MANIFEST_UNKNOWN");
            }),
        new("repository-404", "Pushing Manifests", "An attempt to pull a nonexistent repository MUST return 404.",
            async rig =>
            {
                (await rig.GetAsync("/v2/no/such/manifests/v1")).Expect(404);
                (await rig.GetAsync($"/v2/no/such/blobs/{Absent}")).Expect(404);
                (await rig.GetAsync("/v2/no/such/tags/list")).ExpectError(404, "NAME_UNKNOWN");
            }),
        new("blob-get", Blobs, "A GET request to an existing blob URL MUST provide the blob with 200 OK.",
            async rig =>
            {
                Digest digest = await rig.PushBlobAsync(Layer);
                Assert.Equal(Layer, (await rig.GetAsync($"blobs/{digest}")).Expect(200).Body);
            }),
        new("blob-digest", Blobs, "Docker-Content-Digest MUST be a digest matching that of the response body.",
            async rig =>
            {
                Digest digest = await rig.PushBlobAsync(Layer);
                (await rig.GetAsync($"blobs/{digest}")).ExpectHeader("Docker-Content-Digest", digest.Text);
                (await rig.PostAsync($"blobs/uploads/?digest={Sha512(Layer)}", Layer)).Expect(201);
                (await rig.GetAsync($"blobs/{Sha512(Layer)}")).Expect(200)
                    .ExpectHeader("Docker-Content-Digest", Sha512(Layer).Text);
            }),
        new("blob-404", Blobs, "If the blob is not found in the repository, the code MUST be 404.",
            async rig =>
            {
                (await rig.PostAsync($"/v2/{rig.Name}/other/blobs/uploads/?digest={Sha256(Layer)}", Layer)).Expect(201);
                await rig.PushBlobAsync(Config);
                (await rig.GetAsync($"blobs/{Absent}")).ExpectError(404, "BLOB_UNKNOWN");
                (await rig.GetAsync($"blobs/{Sha256(Layer)}")).ExpectError(404, "BLOB_UNKNOWN");
            }),
        new("blob-range", Blobs,
            "A registry SHOULD support the Range header in accordance with RFC 9110: closed ranges.",
            rig => ExpectRangeAsync(rig, "bytes=2-5", Layer[2..6])),
        new("blob-range-open", Blobs,
            "… ranges without an end.",
            rig => ExpectRangeAsync(rig, "bytes=30-", Layer[30..])),
        new("blob-range-suffix", Blobs, "… the last bytes.", rig => ExpectRangeAsync(rig, "bytes=-4", Layer[^4..])),
        new("blob-range-beyond", Blobs, "… an end beyond the content means its end.",
            rig => ExpectRangeAsync(rig, "bytes=30-9999", Layer[30..])),
        new("blob-range-unsatisfiable", Blobs, "… a range outside the content is 416 with its size (15.5.17).",
            async rig =>
            {
                Digest digest = await rig.PushBlobAsync(Layer);
                (await rig.GetAsync($"blobs/{digest}", ("Range", "bytes=5000-"))).Expect(416)
                    .ExpectHeader("Content-Range", $"bytes */{Layer.Length}");
            }),
        new("blob-range-reversed", Blobs, "… a range whose end is before its begin is rejected or ignored (14.2).",
            async rig =>
            {
                Digest digest = await rig.PushBlobAsync(Layer);
                Answer answer = (await rig.GetAsync($"blobs/{digest}", ("Range", "bytes=9-3"))).Expect(200, 416);
                Assert.True(answer.Code != System.Net.HttpStatusCode.OK || answer.Body.SequenceEqual(Layer));
            }),
        new("blob-conditional", "API", "Implementations SHOULD follow the HTTP semantics of RFC 9110: If-None-Match.",
            async rig =>
            {
                Digest digest = await rig.PushBlobAsync(Layer);
                string tag = (await rig.GetAsync($"blobs/{digest}")).Header("ETag");
                Assert.NotEmpty(tag);
                (await rig.GetAsync($"blobs/{digest}", ("If-None-Match", tag))).Expect(304);
            }),
        new("head-200", Existence, "A HEAD request to an existing blob or manifest URL MUST return 200 OK.",
            async rig =>
            {
                byte[] manifest = await rig.PushImageAsync("v1");
                (await rig.HeadAsync($"blobs/{Sha256(Layer)}")).Expect(200);
                (await rig.HeadAsync("manifests/v1")).Expect(200);
                (await rig.HeadAsync($"manifests/{Sha256(manifest)}")).Expect(200);
            }),
        new("head-digest", Existence, "A successful response MUST contain the digest in Docker-Content-Digest.",
            async rig =>
            {
                byte[] manifest = await rig.PushImageAsync("v1");
                (await rig.HeadAsync($"blobs/{Sha256(Layer)}"))
                    .ExpectHeader("Docker-Content-Digest", Sha256(Layer).Text);
                (await rig.HeadAsync("manifests/v1")).ExpectHeader("Docker-Content-Digest", Sha256(manifest).Text);
            }),
        new("head-length", Existence, "A successful response MUST contain the size in Content-Length.",
            async rig =>
            {
                byte[] manifest = await rig.PushImageAsync("v1");
                (await rig.HeadAsync($"blobs/{Sha256(Layer)}")).ExpectHeader("Content-Length", $"{Layer.Length}");
                (await rig.HeadAsync("manifests/v1")).ExpectHeader("Content-Length", $"{manifest.Length}");
            }),
        new("head-as-get", Existence, "HEAD is GET without the body (RFC 9110, 9.3.2): type, length, digest and tag.",
            async rig =>
            {
                await rig.PushImageAsync("v1");
                foreach (string path in (string[])["manifests/v1", $"blobs/{Sha256(Layer)}"])
                {
                    Answer whole = (await rig.GetAsync(path)).Expect(200);
                    Answer head = (await rig.HeadAsync(path)).Expect(200);
                    Assert.Empty(head.Body);
                    foreach (string name in
                        (string[])["Content-Type", "Content-Length", "Docker-Content-Digest", "ETag"])
                    {
                        Assert.NotEmpty(whole.Header(name));
                        head.ExpectHeader(name, whole.Header(name));
                    }
                }
            }),
        new("head-404", Existence, "If the blob or manifest is not found in the repository, the code MUST be 404.",
            async rig =>
            {
                (await rig.HeadAsync($"blobs/{Absent}")).Expect(404);
                (await rig.HeadAsync("manifests/none")).Expect(404);
                (await rig.HeadAsync($"manifests/{Absent}")).Expect(404);
            }),
    ];

    private static async Task ExpectRangeAsync(ConformanceRig rig, string range, byte[] expected)
    {
        Digest digest = await rig.PushBlobAsync(Layer);
        Answer answer = (await rig.GetAsync($"blobs/{digest}", ("Range", range))).Expect(206);
        Assert.Equal(expected, answer.Body);
        int first = Layer.AsSpan().IndexOf(expected);
        answer.ExpectHeader("Content-Range", $"bytes {first}-{first + expected.Length - 1}/{Layer.Length}");
    }
}
