using System.Net;
using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// A layered image of some hundred MB made from this machine's own files, until a call of it can run.
/// </summary>
internal static class ImageCase
{
    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        Directory.CreateDirectory(options.Work);
        string layout = Path.Combine(options.Work, "layout");
        await BuildLayoutAsync(options.Work, layout);
        List<double> pushes = [];
        List<double> pulls = [];
        List<string> details = [];
        for (int round = 0; round < 3; round++)
        {
            TimeSpan tar = await TarAsync(options.Work, layout);
            await using BerthRig source = await BerthRig.StartAsync(options);
            await using BerthRig target = await BerthRig.StartAsync(options, "--registry-allow", "127.0.0.1");
            TimeSpan push = await Command.TimeAsync("skopeo", "copy", "-q", "--dest-tls-verify=false", "--dest-creds",
                $"bench:{source.Token}", $"oci:{layout}:1", $"docker://127.0.0.1:{source.Port}/bench/big:1");
            push += await FirstCallAsync(source);
            long start = TimeProvider.System.GetTimestamp();
            await target.CliAsync(
                [$"BERTH_REGISTRY_PASSWORD={source.Token}"],
                "image", "pull", "--insecure", "--username", "bench",
                $"127.0.0.1:{source.Port}/bench/big:1", "bench/big:1");
            TimeSpan pull = TimeProvider.System.GetElapsedTime(start) + await FirstCallAsync(target);
            pushes.Add(push / tar);
            pulls.Add(pull / tar);
            details.Add($"tar {tar.TotalSeconds:0.00} s, "
                + $"push {push.TotalSeconds:0.00} s, pull {pull.TotalSeconds:0.00} s");
        }

        Directory.Delete(options.Work, recursive: true);
        pushes.Sort();
        pulls.Sort();
        return
        [
            new("push until it has run / tar xzf", pushes[1], 0.85, AtMost: true, string.Join("; ", details)),
            new("pull until it has run / tar xzf", pulls[1], 0.85, AtMost: true, ""),
        ];
    }

    /// <summary>Three layers: busybox, then two halves of this machine's libraries and documents.</summary>
    private static Task<string> BuildLayoutAsync(string work, string layout) => Command.RunAsync("bash", "-c", $"""
        set -e
        mkdir -p {work}/base/bin && cp /bin/busybox {work}/base/bin/ && ln -sf busybox {work}/base/bin/true
        umoci init --layout {layout} && umoci new --image {layout}:1
        tar -C {work}/base -cf {work}/l0.tar .
        tar -C / --exclude='*.a' -cf {work}/l1.tar usr/lib/x86_64-linux-gnu --no-xattrs 2>/dev/null || true
        tar -C / -cf {work}/l2.tar usr/share/perl usr/share/doc usr/share/zoneinfo usr/share/dotnet/shared \
          2>/dev/null || true
        for i in 0 1 2; do umoci raw add-layer --image {layout}:1 {work}/l$i.tar; rm {work}/l$i.tar; done
        umoci config --image {layout}:1 --config.cmd /bin/true
        """);

    private static async Task<TimeSpan> TarAsync(string work, string layout)
    {
        string target = Path.Combine(work, "tar");
        Directory.CreateDirectory(target);
        string manifest = (await Command.RunAsync(
            "sh", "-c", $"jq -r '.manifests[0].digest' {layout}/index.json | cut -d: -f2")).Trim();
        TimeSpan time = await Command.TimeAsync("bash", "-c", $"set -e; for d in $(jq -r '.layers[].digest' "
            + $"{layout}/blobs/sha256/{manifest} | cut -d: -f2); "
            + $"do tar -C {target} -xzf {layout}/blobs/sha256/$d; done");
        Directory.Delete(target, recursive: true);
        return time;
    }

    private static async Task<TimeSpan> FirstCallAsync(BerthRig rig)
    {
        long start = TimeProvider.System.GetTimestamp();
        using HttpResponseMessage answer = await rig.Http.PostAsync(new Uri("/v1/call/bench/big:1", UriKind.Relative),
            null);
        return answer.StatusCode == HttpStatusCode.OK
            ? TimeProvider.System.GetElapsedTime(start)
            : throw new InvalidOperationException(await answer.Content.ReadAsStringAsync());
    }
}
