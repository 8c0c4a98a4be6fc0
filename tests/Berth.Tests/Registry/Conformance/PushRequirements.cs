using Berth.Core.Images;
using Xunit;
using static Berth.Tests.Registry.Conformance.ConformanceRig;

namespace Berth.Tests.Registry.Conformance;

/// <summary>The category Push: blobs, whole, in chunks, and from other repositories.</summary>
internal static class PushRequirements
{
    private const string Whole = "Pushing a blob monolithically";
    private const string Chunks = "Pushing a blob in chunks";
    private const string Cancel = "Cancel a blob upload";
    private const string Mount = "Mounting a blob from another repository";

    public static IReadOnlyList<Requirement> All { get; } =
    [
        new("digest-invalid", "Pushing blobs",
            "An invalid digest or unsupported algorithm SHOULD be answered with 400.",
            async rig =>
            {
                foreach (string bad in (string[])["sha256:xyz", "md5:d41d8cd98f00b204e9800998ecf8427e", "nonsense", ""])
                {
                    (await rig.PostAsync($"blobs/uploads/?digest={bad}", Layer)).ExpectError(400, "DIGEST_INVALID");
                    string upload = await rig.BeginAsync();
                    (await rig.SendAsync("PUT", $"{upload}?digest={bad}", Layer)).ExpectError(400, "DIGEST_INVALID");
                }
            }),
        new("post-202", Whole, "POST: the response MUST have a code of 202 and MUST include a Location.",
            async rig => Assert.NotEmpty((await rig.PostAsync("blobs/uploads/")).Expect(202).Location)),
        new("post-unique", Whole, "The Location MUST contain a unique session id.",
            async rig => Assert.NotEqual(await rig.BeginAsync(), await rig.BeginAsync())),
        new("put-201", Whole, "PUT: the response MUST have code 201 and a Location that is a pullable blob URL.",
            async rig =>
            {
                string upload = await rig.BeginAsync();
                await ExpectPullableAsync(rig, await rig.FinishAsync(upload, Sha256(Layer), Layer), Layer);
            }),
        new("single-post", Whole, "A single POST MUST return 201 and a Location that is a pullable blob URL.",
            async rig => await ExpectPullableAsync(
                rig, await rig.PostAsync($"blobs/uploads/?digest={Sha256(Layer)}", Layer), Layer)),
        new("digest-match", Whole, "The <digest> MUST match the blob's digest.",
            async rig =>
            {
                Digest other = Sha256(Config);
                (await rig.PostAsync($"blobs/uploads/?digest={other}", Layer)).ExpectError(400, "DIGEST_INVALID");
                string upload = await rig.BeginAsync();
                (await rig.FinishAsync(upload, other, Layer)).ExpectError(400, "DIGEST_INVALID");
                (await rig.HeadAsync($"blobs/{other}")).Expect(404);
            }),
        new("empty-blob", Whole, "A blob of no bytes is a blob.",
            async rig =>
            {
                string upload = await rig.BeginAsync();
                await ExpectPullableAsync(rig, await rig.FinishAsync(upload, Sha256([]), []), []);
            }),
        new("sha512-whole", Whole, "A digest of another algorithm: sha512 with POST, and with POST then PUT.",
            async rig =>
            {
                await ExpectPullableAsync(
                    rig, await rig.PostAsync($"blobs/uploads/?digest={Sha512(Layer)}", Layer), Layer);
                string upload = await rig.BeginAsync("?digest-algorithm=sha512");
                await ExpectPullableAsync(rig, await rig.FinishAsync(upload, Sha512(Config), Config), Config);
            }),
        new("chunk-202", Chunks, "Each successful chunk MUST be answered with 202, Location and Range.",
            async rig =>
            {
                string upload = await rig.BeginAsync();
                Answer first = (await rig.PatchAsync(upload, Layer[..10], "0-9")).Expect(202);
                first.ExpectHeader("Range", "0-9");
                Answer second = (await rig.PatchAsync(first.Location, Layer[10..20], "10-19")).Expect(202);
                second.ExpectHeader("Range", "0-19");
                Assert.NotEmpty(second.Location);
            }),
        new("chunk-put-empty", Chunks,
            "The final chunk MAY be sent by PATCH; the session MUST be closed with a PUT (201).",
            async rig =>
            {
                string upload = await rig.BeginAsync();
                string next = (await rig.PatchAsync(upload, Layer, $"0-{Layer.Length - 1}")).Expect(202).Location;
                await ExpectPullableAsync(rig, await rig.FinishAsync(next, Sha256(Layer)), Layer);
            }),
        new("chunk-put-last", Chunks, "The final chunk MAY be sent in the closing PUT.",
            async rig =>
            {
                string upload = await rig.BeginAsync();
                string next = (await rig.PatchAsync(upload, Layer[..10], "0-9")).Expect(202).Location;
                await ExpectPullableAsync(
                    rig, await rig.FinishAsync(next, Sha256(Layer), Layer[10..], $"10-{Layer.Length - 1}"), Layer);
            }),
        new("chunk-any-size", Chunks,
            "A registry that requires a least size of chunks SHOULD tell OCI-Chunk-Min-Length; this one takes any.",
            async rig =>
            {
                Answer begun = (await rig.PostAsync("blobs/uploads/")).Expect(202);
                Assert.Empty(begun.Header("OCI-Chunk-Min-Length"));
                string next = begun.Location;
                foreach (int place in Enumerable.Range(0, 3))
                {
                    next = (await rig.PatchAsync(next, Layer[place..(place + 1)], $"{place}-{place}")).Expect(202)
                        .Location;
                }

                await ExpectPullableAsync(
                    rig, await rig.FinishAsync(next, Sha256(Layer), Layer[3..], $"3-{Layer.Length - 1}"), Layer);
            }),
        new("chunk-digest-needed", Chunks, "The closing PUT MUST include the digest of the whole blob.",
            async rig =>
            {
                string upload = await rig.BeginAsync();
                (await rig.PatchAsync(upload, Layer, $"0-{Layer.Length - 1}")).Expect(202);
                (await rig.SendAsync("PUT", upload, [])).ExpectError(400, "DIGEST_INVALID");
                await ExpectPullableAsync(rig, await rig.FinishAsync(upload, Sha256(Layer)), Layer);
            }),
        new("chunk-first", Chunks, "The first chunk's range MUST begin with 0.",
            async rig =>
            {
                string upload = await rig.BeginAsync();
                (await rig.PatchAsync(upload, Layer[..10], "5-14")).Expect(416);
            }),
        new("chunk-order", Chunks, "If a chunk is uploaded out of order, the registry MUST respond with 416.",
            async rig =>
            {
                string upload = await rig.BeginAsync();
                (await rig.PatchAsync(upload, Layer[..10], "0-9")).Expect(202);
                (await rig.PatchAsync(upload, Layer[20..30], "20-29")).Expect(416);
                (await rig.PatchAsync(upload, Layer[..10], "0-9")).Expect(416);
                (await rig.PatchAsync(upload, Layer[5..15], "5-14")).Expect(416);
                (await rig.PatchAsync(upload, Layer[10..], $"10-{Layer.Length - 1}")).Expect(202);
                await ExpectPullableAsync(rig, await rig.FinishAsync(upload, Sha256(Layer)), Layer);
            }),
        new("chunk-order-last", Chunks,
            "If the final chunk is uploaded out of order, the registry MUST respond with 416.",
            async rig =>
            {
                string upload = await rig.BeginAsync();
                (await rig.PatchAsync(upload, Layer[..10], "0-9")).Expect(202);
                (await rig.FinishAsync(upload, Sha256(Layer), Layer[20..], $"20-{Layer.Length - 1}")).Expect(416);
                (await rig.GetAsync(upload)).Expect(204).ExpectHeader("Range", "0-9");
            }),
        new("chunk-length", Chunks,
            "<length> is the content-length of the chunk, and <range> is inclusive on both ends.",
            async rig =>
            {
                string upload = await rig.BeginAsync();
                (await rig.PatchAsync(upload, Layer[..10], "0-10")).ExpectError(400, "SIZE_INVALID");
            }),
        new("chunk-sha512", Chunks, "The POST request SHOULD include digest-algorithm when it is not sha256.",
            async rig =>
            {
                string upload = await rig.BeginAsync("?digest-algorithm=sha512");
                string next = (await rig.PatchAsync(upload, Layer[..10], "0-9")).Expect(202).Location;
                next = (await rig.PatchAsync(next, Layer[10..], $"10-{Layer.Length - 1}")).Expect(202).Location;
                await ExpectPullableAsync(rig, await rig.FinishAsync(next, Sha512(Layer)), Layer);
            }),
        new("chunk-algorithm", Chunks, "An algorithm that is not supported is refused at once.",
            async rig => (await rig.PostAsync("blobs/uploads/?digest-algorithm=md5")).Expect(400)),
        new("stream", Chunks, "PATCH without Content-Range takes one stream (as docker sends blobs).",
            async rig =>
            {
                string upload = await rig.BeginAsync();
                (await rig.SendAsync("PATCH", upload, Layer)).Expect(202)
                    .ExpectHeader("Range", $"0-{Layer.Length - 1}");
                await ExpectPullableAsync(rig, await rig.FinishAsync(upload, Sha256(Layer)), Layer);
            }),
        new("status", Chunks, "GET of an active upload MUST be answered with 204, Location and Range.",
            async rig =>
            {
                string upload = await rig.BeginAsync();
                (await rig.PatchAsync(upload, Layer[..10], "0-9")).Expect(202);
                Answer status = (await rig.GetAsync(upload)).Expect(204).ExpectHeader("Range", "0-9");
                (await rig.PatchAsync(status.Location, Layer[10..], $"10-{Layer.Length - 1}")).Expect(202);
            }),
        new("closed", Chunks, "A session that was closed is no longer there.",
            async rig =>
            {
                string upload = await rig.BeginAsync();
                (await rig.FinishAsync(upload, Sha256(Layer), Layer)).Expect(201);
                (await rig.GetAsync(upload)).ExpectError(404, "BLOB_UPLOAD_UNKNOWN");
                (await rig.PatchAsync(upload, Layer, "0-1")).ExpectError(404, "BLOB_UPLOAD_UNKNOWN");
            }),
        new("cancel", Cancel, "DELETE of a session: if successful, the response SHOULD be 204 No Content.",
            async rig =>
            {
                string upload = await rig.BeginAsync();
                (await rig.PatchAsync(upload, Layer[..10], "0-9")).Expect(202);
                (await rig.DeleteAsync(upload)).Expect(204);
                (await rig.GetAsync(upload)).ExpectError(404, "BLOB_UPLOAD_UNKNOWN");
                (await rig.DeleteAsync(upload)).ExpectError(404, "BLOB_UPLOAD_UNKNOWN");
            }),
        new("mount", Mount, "The response to a successful mount MUST be 201 with a Location.",
            async rig =>
            {
                string from = $"{rig.Name}/source";
                (await rig.PostAsync($"/v2/{from}/blobs/uploads/?digest={Sha256(Layer)}", Layer)).Expect(201);
                await ExpectPullableAsync(
                    rig, await rig.PostAsync($"blobs/uploads/?mount={Sha256(Layer)}&from={from}"), Layer);
            }),
        new("mount-anywhere", Mount, "The registry MAY treat the from parameter as optional.",
            async rig =>
            {
                string from = $"{rig.Name}/source";
                (await rig.PostAsync($"/v2/{from}/blobs/uploads/?digest={Sha256(Layer)}", Layer)).Expect(201);
                await ExpectPullableAsync(rig, await rig.PostAsync($"blobs/uploads/?mount={Sha256(Layer)}"), Layer);
            }),
        new("mount-202", Mount, "If it is unable to mount the blob, it SHOULD return 202 and begin an upload.",
            async rig =>
            {
                byte[] nowhere = [.. Layer, 1, 2, 3];
                foreach (string from in (string[])["&from=no/such", $"&from={rig.Name}/source", ""])
                {
                    Answer begun = await rig.PostAsync($"blobs/uploads/?mount={Sha256(nowhere)}{from}");
                    string upload = begun.Expect(202).Location;
                    (await rig.DeleteAsync(upload)).Expect(204);
                }
            }),
    ];

    private static async Task ExpectPullableAsync(ConformanceRig rig, Answer created, byte[] content)
    {
        created.Expect(201);
        Assert.Equal(content, (await rig.GetAsync(created.Location)).Expect(200).Body);
    }
}
