using System.Diagnostics;
using System.Net;
using System.Security.Cryptography;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// A blob of 1 GiB in and out, beside Debian's docker-registry on the same disk, by turns and with the same client.
/// </summary>
internal static class RegistryCase
{
    private const long Size = 1L << 30;
    private const int Rounds = 3;

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        Directory.CreateDirectory(options.Work);
        string file = Path.Combine("/dev/shm", $"berth-bench-{Environment.ProcessId}");
        List<double> pushes = [];
        List<double> pulls = [];
        List<string> details = [];
        double growth = 0;
        try
        {
            for (int round = 0; round < Rounds; round++)
            {
                // Other content each time, so that nobody has it already.
                await Command.RunAsync("sh", "-c", $"openssl enc -aes-128-ctr -nosalt -K 0{round} -iv 00 </dev/zero "
                    + $"2>/dev/null | head -c {Size} > {file}");
                string digest = "sha256:"
                    + (await Command.RunAsync("sh", "-c", $"sha256sum {file} | cut -d' ' -f1")).Trim();
                (TimeSpan push, TimeSpan pull) = await DockerAsync(options, file, digest);
                await using BerthRig rig = await BerthRig.StartAsync(options);
                long before = rig.Status("VmRSS");
                (TimeSpan ourPush, TimeSpan ourPull) = await TimeAsync(rig.Http, file, digest);
                growth = Math.Max(growth, (rig.Status("VmHWM") - before) / 1048576.0);
                pushes.Add(ourPush / push);
                pulls.Add(ourPull / pull);
                details.Add($"push {ourPush.TotalSeconds:0.00}/{push.TotalSeconds:0.00} s, "
                    + $"pull {ourPull.TotalSeconds:0.00}/{pull.TotalSeconds:0.00} s");
            }
        }
        finally
        {
            File.Delete(file);
        }

        pushes.Sort();
        pulls.Sort();
        return
        [
            new("push of 1 GiB / docker-registry", pushes[Rounds / 2], 1.5, AtMost: true, string.Join("; ", details)),
            new("pull of 1 GiB / docker-registry", pulls[Rounds / 2], 1.5, AtMost: true, ""),
            new("growth of the server's peak memory, MiB", growth, 64, AtMost: true, ""),
        ];
    }

    private static async Task<(TimeSpan Push, TimeSpan Pull)> DockerAsync(
        BenchOptions options, string file, string digest)
    {
        string folder = Path.Combine(options.Work, "docker-registry");
        Directory.CreateDirectory(folder);
        int port = BerthRig.FreePort();
        string settings = Path.Combine(folder, "config.yml");
        await File.WriteAllTextAsync(
            settings,
            $"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
            + $"http: {{addr: '127.0.0.1:{port}'}}\n");
        using Process process = Command.Start("docker-registry", ["serve", settings]);
        _ = process.StandardOutput.ReadToEndAsync();
        _ = process.StandardError.ReadToEndAsync();
        try
        {
            using HttpClient http = new()
            {
                BaseAddress = new Uri($"http://127.0.0.1:{port}"),
                Timeout = TimeSpan.FromMinutes(10),
            };
            await WaitAsync(http);
            return await TimeAsync(http, file, digest);
        }
        finally
        {
            process.Kill();
            await process.WaitForExitAsync();
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task WaitAsync(HttpClient http)
    {
        for (int i = 0; ; i++)
        {
            try
            {
                using HttpResponseMessage answer = await http.GetAsync(new Uri("/v2/", UriKind.Relative));
                return;
            }
            catch (HttpRequestException) when (i < 500)
            {
                await Task.Delay(10);
            }
        }
    }

    /// <summary>As docker does: one stream, then the digest; then the whole blob, hashed on the way.</summary>
    private static async Task<(TimeSpan Push, TimeSpan Pull)> TimeAsync(HttpClient http, string file, string digest)
    {
        long start = TimeProvider.System.GetTimestamp();
        using HttpResponseMessage begun = await http.PostAsync(
            new Uri("/v2/bench/blob/blobs/uploads/", UriKind.Relative), null);
        Uri upload = new(http.BaseAddress!, begun.Headers.Location!);
        await using (FileStream content = File.OpenRead(file))
        {
            using HttpResponseMessage sent = await http.PatchAsync(upload, new StreamContent(content, 256 * 1024));
            Expect(HttpStatusCode.Accepted, sent);
            upload = new Uri(http.BaseAddress!, sent.Headers.Location!);
        }

        string separator = upload.Query.Length > 0 ? "&" : "?";
        using HttpResponseMessage done = await http.PutAsync(new Uri($"{upload}{separator}digest={digest}"), null);
        Expect(HttpStatusCode.Created, done);
        TimeSpan push = TimeProvider.System.GetElapsedTime(start);

        start = TimeProvider.System.GetTimestamp();
        await using Stream body = await http.GetStreamAsync(
            new Uri($"/v2/bench/blob/blobs/{digest}", UriKind.Relative));
        string got = "sha256:" + Convert.ToHexStringLower(await SHA256.HashDataAsync(body));
        return got == digest
            ? (push, TimeProvider.System.GetElapsedTime(start))
            : throw new InvalidOperationException("The blob that came back is not the one that was sent.");
    }

    private static void Expect(HttpStatusCode status, HttpResponseMessage response)
    {
        if (response.StatusCode != status)
        {
            throw new InvalidOperationException($"{response.RequestMessage?.RequestUri}: {(int)response.StatusCode}");
        }
    }
}
