using System.Text.Json;
using Berth.Oci.Images;
using Xunit;
using static Berth.Tests.Registry.Conformance.ConformanceRig;

namespace Berth.Tests.Registry.Conformance;

/// <summary>The category Content Discovery, errors, and the catalog and tokens of the protocol's first days.</summary>
internal static class DiscoveryRequirements
{
    private const string Tags = "Listing Tags";
    private const string Referrers = "Listing Referrers";
    private const string Errors = "Error Codes";
    private const string Docker = "Docker Registry HTTP API V2";
    private const string Sbom = "application/vnd.example.sbom.v1";
    private static readonly string Absent = "sha256:" + new string('c', 64);

    public static IReadOnlyList<Requirement> All { get; } =
    [
        new("tags-200", Tags, "The request MUST return 200 and a body with `name` and `tags`, sorted.",
            async rig =>
            {
                await PushTagsAsync(rig, "b", "C", "a", "1");
                Answer list = (await rig.GetAsync("tags/list")).Expect(200);
                Assert.Equal(rig.Name, list.Json.GetProperty("name").GetString());
                Assert.Equal(["1", "C", "a", "b"], list.Strings("tags"));
            }),
        new("tags-empty", Tags, "The list of tags MAY be empty if there are no tags on the repository.",
            async rig =>
            {
                await rig.PushImageAsync("");
                Assert.Empty((await rig.GetAsync("tags/list")).Expect(200).Strings("tags"));
            }),
        new("tags-n", Tags, "With n the response MUST include n results, and a Link with rel=next if there are more.",
            async rig =>
            {
                await PushTagsAsync(rig, "a", "b", "c");
                Answer part = (await rig.GetAsync("tags/list?n=2")).Expect(200);
                Assert.Equal(["a", "b"], part.Strings("tags"));
                Answer rest = (await rig.GetAsync(part.Next()!)).Expect(200);
                Assert.Equal(["c"], rest.Strings("tags"));
                Assert.Null(rest.Next());
                Assert.Null((await rig.GetAsync("tags/list?n=3")).Next());
            }),
        new("tags-n-zero", Tags, "When n is zero, this MUST return an empty list, and MUST NOT include a Link header.",
            async rig =>
            {
                await PushTagsAsync(rig, "a", "b");
                Answer none = (await rig.GetAsync("tags/list?n=0")).Expect(200);
                Assert.Empty(none.Strings("tags"));
                Assert.Null(none.Next());
            }),
        new("tags-n-most", Tags, "Fewer than n MAY be returned when a Link header is provided: a huge n is taken.",
            async rig =>
            {
                await PushTagsAsync(rig, "a", "b");
                Assert.Equal(["a", "b"], (await rig.GetAsync("tags/list?n=999999999999")).Expect(200).Strings("tags"));
            }),
        new("tags-last", Tags, "`last` is not included; up to n tags after it are, and it need not exist.",
            async rig =>
            {
                await PushTagsAsync(rig, "a", "c", "d");
                Assert.Equal(["c"], (await rig.GetAsync("tags/list?n=1&last=a")).Expect(200).Strings("tags"));
                Assert.Equal(["c", "d"], (await rig.GetAsync("tags/list?last=b")).Expect(200).Strings("tags"));
                Assert.Empty((await rig.GetAsync("tags/list?last=d")).Expect(200).Strings("tags"));
            }),
        new("referrers-200", Referrers,
            "MUST return 200 with an image index as application/vnd.oci.image.index.v1+json.",
            async rig =>
            {
                byte[] image = await rig.PushImageAsync("v1");
                Answer list = (await rig.GetAsync($"referrers/{Sha256(image)}")).Expect(200);
                list.ExpectHeader("Content-Type", MediaTypes.OciIndex);
                Assert.Equal(2, list.Json.GetProperty("schemaVersion").GetInt32());
                Assert.Equal(MediaTypes.OciIndex, list.Json.GetProperty("mediaType").GetString());
            }),
        new("referrers-empty", Referrers, "If no referrers match, an empty list MUST be returned, never 404.",
            async rig =>
            {
                await rig.PushImageAsync("v1");
                Assert.Empty(Manifests((await rig.GetAsync($"referrers/{Absent}")).Expect(200)));
            }),
        new("referrers-400", Referrers, "If the digest has an invalid syntax, 400 MUST be returned.",
            async rig =>
            {
                await rig.PushImageAsync("v1");
                (await rig.GetAsync("referrers/sha256:abc")).ExpectError(400, "DIGEST_INVALID");
                (await rig.GetAsync("referrers/v1")).ExpectError(400, "DIGEST_INVALID");
            }),
        new("referrers-descriptor", Referrers, "Descriptors MUST include size, digest, artifactType and annotations.",
            async rig =>
            {
                byte[] image = await rig.PushImageAsync("v1");
                byte[] about = Annotated(image, Sbom);
                (await rig.PutManifestAsync(Sha256(about).Text, about)).Expect(201);
                JsonElement found = Assert.Single(Manifests(await rig.GetAsync($"referrers/{Sha256(image)}")));
                Assert.Equal(MediaTypes.OciManifest, found.GetProperty("mediaType").GetString());
                Assert.Equal(Sha256(about).Text, found.GetProperty("digest").GetString());
                Assert.Equal(about.Length, found.GetProperty("size").GetInt32());
                Assert.Equal(Sbom, found.GetProperty("artifactType").GetString());
                Assert.Equal("v", found.GetProperty("annotations").GetProperty("k").GetString());
            }),
        new("referrers-config-type", Referrers, "Without artifactType it MUST be the config descriptor's mediaType.",
            async rig =>
            {
                byte[] image = await rig.PushImageAsync("v1");
                await rig.PushImageAsync("", Subject(image));
                JsonElement found = Assert.Single(Manifests(await rig.GetAsync($"referrers/{Sha256(image)}")));
                Assert.Equal(MediaTypes.OciConfig, found.GetProperty("artifactType").GetString());
            }),
        new("referrers-index", Referrers, "An index without artifactType: it MUST be omitted.",
            async rig =>
            {
                byte[] image = await rig.PushImageAsync("v1");
                byte[] index = JsonSerializer.SerializeToUtf8Bytes(
                    new ImageIndex(2, MediaTypes.OciIndex, [], Subject(image)), OciJson.Default.ImageIndex);
                (await rig.PutManifestAsync("i", index, MediaTypes.OciIndex)).Expect(201)
                    .ExpectHeader("OCI-Subject", Sha256(image).Text);
                JsonElement found = Assert.Single(Manifests(await rig.GetAsync($"referrers/{Sha256(image)}")));
                Assert.False(found.TryGetProperty("artifactType", out _));
            }),
        new("referrers-filter", Referrers, "If filtering is applied, the response MUST include OCI-Filters-Applied.",
            async rig =>
            {
                byte[] image = await rig.PushImageAsync("v1");
                await rig.PushImageAsync("", Subject(image), Sbom);
                await rig.PushImageAsync("", Subject(image), "application/vnd.example+signature");
                string list = $"referrers/{Sha256(image)}";
                Assert.Equal(2, Manifests(await rig.GetAsync(list)).Length);
                Answer sboms = (await rig.GetAsync($"{list}?artifactType={Sbom}")).Expect(200);
                sboms.ExpectHeader("OCI-Filters-Applied", "artifactType");
                Assert.Equal(Sbom, Assert.Single(Manifests(sboms)).GetProperty("artifactType").GetString());
                Answer escaped = await rig.GetAsync(
                    $"{list}?artifactType={Uri.EscapeDataString("application/vnd.example+signature")}");
                Assert.Single(Manifests(escaped));
                Assert.Empty((await rig.GetAsync(list)).Header("OCI-Filters-Applied"));
            }),
        new("referrers-deleted", Referrers,
            "Descriptors are of manifests in the repository: one that was deleted is not.",
            async rig =>
            {
                byte[] image = await rig.PushImageAsync("v1");
                byte[] about = await rig.PushImageAsync("", Subject(image), Sbom);
                (await rig.DeleteAsync($"manifests/{Sha256(about)}")).Expect(202);
                Assert.Empty(Manifests(await rig.GetAsync($"referrers/{Sha256(image)}")));
            }),
        new("referrers-parts", Referrers,
            "A Link header MUST be included when the list cannot be in a single manifest.",
            async rig =>
            {
                byte[] image = await rig.PushImageAsync("v1");
                foreach (char filler in "xyz")
                {
                    byte[] about = Annotated(image, Sbom, new string(filler, 2_000_000));
                    (await rig.PutManifestAsync(Sha256(about).Text, about)).Expect(201);
                }

                HashSet<string> seen = [];
                for (string? next = $"referrers/{Sha256(image)}"; next is not null;)
                {
                    Answer part = (await rig.GetAsync(next)).Expect(200);
                    Assert.InRange(part.Body.Length, 1, 5_000_000);
                    Assert.All(Manifests(part), m => Assert.True(seen.Add(m.GetProperty("digest").GetString()!)));
                    next = part.Next();
                }

                Assert.Equal(3, seen.Count);
            }),
        new("referrers-tag", "Referrers Tag Schema",
            "A client's fall-back tag is a tag like any other, and can be updated.",
            async rig =>
            {
                byte[] image = await rig.PushImageAsync("v1");
                byte[] index = Testing.Registry.RegistryMessages.Index([image]);
                foreach (string tag in (string[])["sha256-" + Sha256(image).Hex, "sha512-" + Sha512(image).Hex[..64]])
                {
                    (await rig.GetAsync($"manifests/{tag}")).Expect(404);
                    (await rig.PutManifestAsync(tag, index, MediaTypes.OciIndex)).Expect(201);
                    Assert.Equal(index, (await rig.GetAsync($"manifests/{tag}")).Expect(200).Body);
                }
            }),
        new("errors", Errors, "A body in JSON MUST have `errors`, each with a `code` of the list.",
            async rig =>
            {
                await rig.PushImageAsync("v1");
                (await rig.GetAsync("manifests/none")).ExpectError(404, "MANIFEST_UNKNOWN");
                (await rig.GetAsync($"blobs/{Absent}")).ExpectError(404, "BLOB_UNKNOWN");
                (await rig.GetAsync("blobs/uploads/none")).ExpectError(404, "BLOB_UPLOAD_UNKNOWN");
                (await rig.GetAsync("blobs/sha256:1")).ExpectError(400, "DIGEST_INVALID");
                (await rig.GetAsync("/v2/UP/tags/list")).ExpectError(400, "NAME_INVALID");
                (await rig.GetAsync("/v2/no/such/tags/list")).ExpectError(404, "NAME_UNKNOWN");
                (await rig.SendAsync("PUT", "tags/list", [])).ExpectError(405, "UNSUPPORTED");
            }),
        new("unauthorized", Errors, "UNAUTHORIZED: authentication required, with a challenge.",
            async rig =>
            {
                Answer answer = await rig.AnonymousAsync($"/v2/{rig.Name}/manifests/v1");
                answer.ExpectError(401, "UNAUTHORIZED");
                Assert.Contains(
                    $"scope=\"repository:{rig.Name}:pull\"", answer.Header("WWW-Authenticate"),
                    StringComparison.Ordinal);
            }),
        new("version-header", Docker, "Docker-Distribution-API-Version SHOULD be set to registry/2.0.",
            async rig => (await rig.GetAsync("/v2/")).ExpectHeader("Docker-Distribution-Api-Version", "registry/2.0")),
        new("catalog", Docker, "GET /v2/_catalog lists repositories in order, in parts of n with a Link.",
            async rig =>
            {
                foreach (string name in (string[])["b", "a", "c"])
                {
                    await rig.Below(name).PushImageAsync("v1");
                }

                Answer part = (await rig.GetAsync($"/v2/_catalog?n=2&last={rig.Name}/")).Expect(200);
                Assert.Equal([$"{rig.Name}/a", $"{rig.Name}/b"], part.Strings("repositories"));
                Assert.Equal($"{rig.Name}/c", (await rig.GetAsync(part.Next()!)).Strings("repositories")[0]);
            }),
    ];

    private static JsonElement[] Manifests(Answer list) => [.. list.Json.GetProperty("manifests").EnumerateArray()];

    private static byte[] Annotated(byte[] subject, string type, string value = "v") =>
        JsonSerializer.SerializeToUtf8Bytes(
            new ImageManifest(
                2, MediaTypes.OciManifest,
                new Descriptor(MediaTypes.OciConfig, Sha256(Config).Text, Config.Length),
                [], Subject(subject), type, new Dictionary<string, string> { ["k"] = value }),
            OciJson.Default.ImageManifest);

    private static async Task PushTagsAsync(ConformanceRig rig, params string[] tags)
    {
        byte[] manifest = await rig.PushImageAsync(tags[0]);
        foreach (string tag in tags[1..])
        {
            (await rig.PutManifestAsync(tag, manifest)).Expect(201);
        }
    }
}
