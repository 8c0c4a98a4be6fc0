using System.Net;
using System.Text;
using Berth.Core.Images;
using Berth.IntegrationTests.EndToEnd;
using Berth.Oci.Images;
using Berth.Testing.Layers;
using Berth.Testing.Registry;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// A pusher's own record: images that were acknowledged and not deleted since, with all their bytes, and one upload
/// that goes on from kill to kill. One caller at a time.
/// </summary>
internal sealed class PushBook(ServerProcess server, string repository, int seed)
{
    private const int LayerBytes = 50_000;
    private const int UploadBytes = 4_000_000;
    private const int ChunkBytes = 150_000;

    private readonly Dictionary<string, Image> images = [];
    private readonly byte[] blob = TaskBook.Bytes(seed, UploadBytes);
    private string? upload;
    private int acknowledged;
    private int count;

    /// <summary>Images that are there for certain.</summary>
    public int Count => images.Count;

    /// <summary>One round: an image comes, with a referrer; the one before goes, is collected; the upload goes on.
    /// </summary>
    public async Task StepAsync()
    {
        int number = count++;
        byte[] root = await PushAsync($"t{number}", Image.Make(seed + number, LayerBytes, null));
        await PushAsync(
            $"r{number}",
            Image.Make(
                seed + number + 500_000, 100,
                new Descriptor(MediaTypes.OciManifest, Digest.Sha256(root).Text, root.Length)));
        await AppendAsync();
        if (number % 3 == 2)
        {
            await DeleteAsync(number - 1);
        }
    }

    /// <summary>What was acknowledged is there, bit by bit, and the upload goes on from where it was.</summary>
    public async Task IsTrueAsync()
    {
        foreach ((string tag, Image image) in images)
        {
            Assert.Equal(image.Manifest, await GetAsync($"manifests/{tag}"));
            Assert.Equal(image.Layer, await GetAsync($"blobs/{Digest.Sha256(image.Layer)}"));
            Assert.Equal(image.Config, await GetAsync($"blobs/{Digest.Sha256(image.Config)}"));
        }

        if (upload is not null)
        {
            await ResumeAsync();
            using HttpResponseMessage done = await server.Http.PutAsync(
                $"{upload}?digest={Digest.Sha256(blob)}", Bytes(blob.AsMemory(acknowledged)));
            await ExpectAsync(HttpStatusCode.Created, done);
            Assert.Equal(blob, await GetAsync($"blobs/{Digest.Sha256(blob)}"));
            upload = null;
        }
    }

    /// <summary>Ends the uploads whose address a kill kept from the pusher; they could be gone on with for a day.
    /// </summary>
    public async Task CancelUploadsAsync()
    {
        foreach (string file in Directory.EnumerateFiles(Path.Combine(server.Data, "uploads"), "*.repository"))
        {
            string id = Path.GetFileNameWithoutExtension(file);
            using HttpResponseMessage gone = await server.Http.DeleteAsync($"/v2/{repository}/blobs/uploads/{id}");
            await ExpectAsync(HttpStatusCode.NoContent, gone);
        }
    }

    public void ForgetUpload() => upload = null;

    /// <summary>Goes on with the upload where it is; at least where it was acknowledged.</summary>
    public async Task ResumeAsync()
    {
        using HttpResponseMessage status = await server.Http.GetAsync(upload);
        await ExpectAsync(HttpStatusCode.NoContent, status);
        int have = int.Parse(status.Headers.GetValues("Range").Single().Split('-')[1]) + 1;
        Assert.InRange(have, Math.Max(acknowledged, 1), blob.Length);
        // An upload that holds nothing is written 0-0 too.
        acknowledged = have == 1 ? 0 : have;
    }

    private async Task<byte[]> PushAsync(string tag, Image image)
    {
        await server.Http.PushBlobAsync(repository, image.Layer);
        await server.Http.PushBlobAsync(repository, image.Config);
        // Until it is known, it may be there or not.
        images.Remove(tag);
        using HttpResponseMessage answer = await server.Http.PutManifestAsync(repository, tag, image.Manifest);
        await ExpectAsync(HttpStatusCode.Created, answer);
        images[tag] = image;
        return image.Manifest;
    }

    private async Task AppendAsync()
    {
        if (upload is null)
        {
            acknowledged = 0;
            using HttpResponseMessage begun = await server.Http.PostAsync($"/v2/{repository}/blobs/uploads/", null);
            await ExpectAsync(HttpStatusCode.Accepted, begun);
            upload = begun.Headers.Location!.OriginalString;
        }

        await ResumeAsync();
        if (acknowledged + ChunkBytes >= blob.Length)
        {
            string full = upload;
            // Until its end is acknowledged, it may be there or not.
            upload = null;
            using HttpResponseMessage gone = await server.Http.DeleteAsync(full);
            await ExpectAsync(HttpStatusCode.NoContent, gone);
            return;
        }

        using HttpResponseMessage patched = await server.Http.PatchAsync(
            upload, Bytes(blob.AsMemory(acknowledged, ChunkBytes)));
        await ExpectAsync(HttpStatusCode.Accepted, patched);
        acknowledged += ChunkBytes;
    }

    private async Task DeleteAsync(int number)
    {
        Image[] gone = [.. new[] { $"t{number}", $"r{number}" }.Where(images.ContainsKey).Select(t => images[t])];
        images.Remove($"t{number}");
        images.Remove($"r{number}");
        foreach (string path in gone.SelectMany(Paths).Prepend($"manifests/t{number}"))
        {
            using HttpResponseMessage answer = await server.Http.DeleteAsync($"/v2/{repository}/{path}");
            Assert.True(answer.StatusCode is HttpStatusCode.Accepted or HttpStatusCode.NotFound, $"{path}: {answer}");
        }

        using HttpResponseMessage collected = await server.Http.PostAsync("/v1/images/collect", null);
        await ExpectAsync(HttpStatusCode.OK, collected);

        // The layer's link is left to the collection.
        static IEnumerable<string> Paths(Image image) =>
            [$"manifests/{Digest.Sha256(image.Manifest)}", $"blobs/{Digest.Sha256(image.Config)}"];
    }

    private Task<byte[]> GetAsync(string path) => server.Http.GetByteArrayAsync($"/v2/{repository}/{path}");

    private sealed record Image(byte[] Layer, byte[] Config, byte[] Manifest)
    {
        public static Image Make(int seed, int bytes, Descriptor? subject)
        {
            byte[] layer = new TarBuilder().File("data", Convert.ToHexString(TaskBook.Bytes(seed, bytes))).Build();
            string diffId = Digest.Sha256(layer).Text;
            byte[] config = Encoding.UTF8.GetBytes(
                """{"architecture":"amd64","os":"linux","config":{"Cmd":["/data"]},"rootfs":{"type":"layers","""
                + $"\"diff_ids\":[\"{diffId}\"]" + "}}");
            return new Image(
                layer, config, RegistryMessages.Manifest(config, layer, subject, subject is null ? null : "test/note"));
        }
    }
}
