using System.Net;
using System.Net.Http.Headers;
using Berth.Core.Images;
using Berth.IntegrationTests.Registry;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// kill -9 of the server at each step of a push: an upload goes on from what arrived, and an image is there whole or
/// not at all, until it is pushed again.
/// </summary>
[Collection("server")]
public sealed class KilledPushTests
{
    private const int LayerBytes = 8_000_000;

    private const string Uploads = "/v2/demo/raw/blobs/uploads/";

    [Fact]
    public async Task An_upload_goes_on_from_what_has_arrived()
    {
        await using ServerProcess server = new();
        await server.StartAsync();
        byte[] blob = TaskBook.Bytes(7, 5_000_000);
        Digest digest = Digest.Sha256(blob);
        using HttpResponseMessage begun = await server.Http.PostAsync(new Uri(Uploads, UriKind.Relative), null);
        Uri upload = begun.Headers.Location!;
        string file = Path.Combine(server.Data, "uploads", upload.OriginalString.Split('/')[^1]);

        long have = 0;
        foreach (int sent in (int[])[600_000, 1_700_000, 4_999_999])
        {
            TaskCompletionSource letGo = new();
            using HeldContent part = new(blob.AsMemory((int)have, sent - (int)have), letGo.Task);
            Task<HttpResponseMessage> patch = server.Http.PatchAsync(upload, part);
            long before = have;
            await Condition.HoldsAsync("more of the blob is on the disk", () => new FileInfo(file).Length > before);
            await server.KillAsync();
            letGo.SetCanceled();
            await Assert.ThrowsAnyAsync<Exception>(() => patch);

            await server.StartAsync();
            using HttpResponseMessage status = await server.Http.GetAsync(upload);
            Assert.Equal(HttpStatusCode.NoContent, status.StatusCode);
            have = long.Parse(status.Headers.GetValues("Range").Single().Split('-')[1]) + 1;
            Assert.InRange(have, before + 1, sent);
        }

        using ByteArrayContent rest = new(blob[(int)have..]);
        rest.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        using HttpResponseMessage done = await server.Http.PutAsync(
            new Uri($"{upload.OriginalString}?digest={digest}", UriKind.Relative), rest);
        Assert.Equal(HttpStatusCode.Created, done.StatusCode);
        await server.KillAsync();
        await server.StartAsync();
        Assert.Equal(blob, await server.Http.GetByteArrayAsync(
            new Uri($"/v2/demo/raw/blobs/{digest}", UriKind.Relative)));
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task An_image_is_there_whole_or_not_at_all()
    {
        await using ServerProcess server = new();
        await server.StartAsync();

        await StepAsync("upload", "uploads", "*");
        await StepAsync("blob", "blobs/sha256", "*");
        await StepAsync("unpacking", "layers", ".tmp-*");
        await StepAsync("unpacked", "layers", ".synced-*");
        await StepAsync("manifest", "repositories", "_manifests");
        await StepAsync("tag", "repositories", "latest");

        await CancelUploadsAsync(server);
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);

        async Task StepAsync(string name, string folder, string appearing)
        {
            string layout = Path.Combine(server.Folder, name);
            await LayoutImage.WriteAsync(layout, "latest", LayerBytes, "amd64");
            int before = Count(server, folder, appearing);
            Task<ToolResult> push = SkopeoAsync(server, "copy", $"oci:{layout}:latest", Remote(server, name));
            await Condition.HoldsAsync(
                $"the push has come to '{name}'",
                () => push.IsCompleted || Count(server, folder, appearing) > before);
            await server.KillAsync();
            await push;
            await server.StartAsync();
            await IsWholeAsync(server, name, layout, mayBeMissing: true);

            (await SkopeoAsync(server, "copy", $"oci:{layout}:latest", Remote(server, name))).Succeed();
            await IsWholeAsync(server, name, layout, mayBeMissing: false);
        }
    }

    private static int Count(ServerProcess server, string folder, string name)
    {
        EnumerationOptions all = new()
        {
            RecurseSubdirectories = folder != "layers",
            AttributesToSkip = FileAttributes.None,
        };
        string path = Path.Combine(server.Data, folder);
        return Directory.Exists(path) ? Directory.EnumerateFileSystemEntries(path, name, all).Count() : 0;
    }

    private static async Task IsWholeAsync(ServerProcess server, string name, string layout, bool mayBeMissing)
    {
        ToolResult inspected = await SkopeoAsync(server, "inspect", Remote(server, name));
        if (mayBeMissing && inspected.ExitCode != 0)
        {
            Assert.Contains("manifest unknown", inspected.Error, StringComparison.Ordinal);
            return;
        }

        inspected.Succeed();
        string copy = Path.Combine(server.Folder, $"{name}-{mayBeMissing}");
        (await SkopeoAsync(server, "copy", Remote(server, name), $"oci:{copy}:latest")).Succeed();
        Assert.Equal(CommandLineTests.DigestOf(layout), CommandLineTests.DigestOf(copy));
    }

    /// <summary>skopeo begins its uploads anew. The ones that were cut off could be continued for a day.</summary>
    private static async Task CancelUploadsAsync(ServerProcess server)
    {
        foreach (string file in Directory.EnumerateFiles(Path.Combine(server.Data, "uploads"), "*.repository"))
        {
            string repository = await File.ReadAllTextAsync(file);
            string id = Path.GetFileNameWithoutExtension(file);
            using HttpResponseMessage answer = await server.Http.DeleteAsync(
                new Uri($"/v2/{repository}/blobs/uploads/{id}", UriKind.Relative));
            Assert.Equal(HttpStatusCode.NoContent, answer.StatusCode);
        }
    }

    private static string Remote(ServerProcess server, string name) => $"docker://{server.Host}/demo/{name}:latest";

    private static Task<ToolResult> SkopeoAsync(ServerProcess server, string verb, params string[] arguments) =>
        ServerFixture.SkopeoAsync(server, verb, arguments);
}
