using System.Diagnostics;
using Berth.Testing.Content;
using Berth.Testing.Layers;
using Xunit;

namespace Berth.IntegrationTests.Archives;

/// <summary>
/// What refusing a hostile archive or layer costs a process in all, native code's memory with it. By which rule each is
/// refused is looked at one by one elsewhere.
/// </summary>
public sealed class HostileCostTests : IDisposable
{
    private const long MostMemory = 64L * 1024 * 1024;
    private const double MostSeconds = 5;
    private const string Honest = "a-first-layer";

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task Every_hostile_archive_and_layer_is_refused_within_5_seconds_and_64_MiB()
    {
        // First an honest one: what is loaded and compiled at first is not charged to any other.
        Dictionary<string, Func<byte[]>> files = new() { [Honest] = () => new TarBuilder().File("a").Build() };
        Dictionary<string, string> names = [];
        foreach ((string name, HostileLayer layer) in HostileLayers.All)
        {
            Add("layer", name, () => layer.Tar);
        }

        foreach ((string name, Func<byte[]> archive) in HostileArchives.All)
        {
            Add("archive", name, archive);
        }

        foreach ((string file, Func<byte[]> content) in files)
        {
            await File.WriteAllBytesAsync(folder[file], content(), TestContext.Current.CancellationToken);
        }

        List<HostileCost> costs = await ReadAsync();

        Assert.Equal(files.Keys.Order(StringComparer.Ordinal), costs.Select(c => c.File));
        HostileCost[] hostile = [.. costs.Where(c => c.File != Honest)];
        HostileCost slowest = hostile.MaxBy(c => c.Seconds)!;
        HostileCost largest = hostile.MaxBy(c => c.Bytes)!;
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{hostile.Length} refused; at most {slowest.Seconds:0.00} s ({names[slowest.File]}) and "
            + $"{largest.Bytes / 1024} KiB ({names[largest.File]})");
        Assert.Equal("accepted", costs.Single(c => c.File == Honest).How);
        Assert.All(hostile, c => Assert.True(c.How is not ("accepted" or "hangs"), $"{names[c.File]}: {c.How}"));
        Assert.All(hostile, c => Assert.True(c.Seconds < MostSeconds, $"{names[c.File]} took {c.Seconds} s"));
        Assert.All(hostile, c => Assert.True(c.Bytes < MostMemory, $"{names[c.File]} took {c.Bytes} bytes"));

        void Add(string kind, string name, Func<byte[]> content)
        {
            string file = $"{kind}-{files.Count:000}";
            files.Add(file, content);
            names.Add(file, name);
        }
    }

    private async Task<List<HostileCost>> ReadAsync()
    {
        using Process reader = HostileReader.Start(folder.Path);
        List<HostileCost> costs = [];
        while (await reader.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken) is { } line)
        {
            costs.Add(HostileCost.Parse(line));
        }

        await reader.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, reader.ExitCode);
        return costs;
    }
}
