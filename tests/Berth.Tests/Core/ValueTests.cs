using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Xunit;

namespace Berth.Tests.Core;

public sealed class ValueTests
{
    [Theory]
    [InlineData("busybox", null, "busybox", "latest")]
    [InlineData("demo/thumbnail:1.2", null, "demo/thumbnail", "1.2")]
    [InlineData("localhost:5000/a/b:c", "localhost:5000", "a/b", "c")]
    [InlineData("registry.example/a__b", "registry.example", "a__b", "latest")]
    public void A_reference_splits_into_host_repository_and_tag(
        string text, string? host, string repository, string tag)
    {
        ImageReference reference = ImageReference.Parse(text);

        Assert.Equal((host, repository, tag), (reference.RegistryHost, reference.Repository, reference.Tag));
    }

    [Theory]
    [InlineData("")]
    [InlineData("Upper")]
    [InlineData("a//b")]
    [InlineData("../etc")]
    [InlineData("a:")]
    [InlineData("a@sha256:12")]
    [InlineData("a:b c")]
    [InlineData("a/")]
    [InlineData("a\n")]
    public void What_is_not_a_reference_is_refused(string text) => Assert.False(ImageReference.TryParse(text, out _));

    [Theory]
    [InlineData("256Mi", 256L << 20)]
    [InlineData("1.5g", 3L << 29)]
    [InlineData("64k", 65536)]
    [InlineData("16 MiB", 16L << 20)]
    [InlineData("0", 0)]
    public void A_size_is_read_with_its_unit(string text, long bytes) =>
        Assert.Equal(bytes, ByteSize.Parse(text).Bytes);

    [Theory]
    [InlineData("-1")]
    [InlineData("1x")]
    [InlineData("")]
    [InlineData("99999999999T")]
    public void What_is_not_a_size_is_refused(string text) => Assert.False(ByteSize.TryParse(text, out _));

    [Theory]
    [InlineData(1)]
    [InlineData(37)]
    [InlineData(TimeSpan.TicksPerMillisecond)]
    public void Run_ids_sort_by_the_time_they_were_made(long ticks)
    {
        DateTimeOffset start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        RunId[] ids = [.. Enumerable.Range(0, 1000).Select(i => RunId.New(start.AddTicks(i * ticks)))];

        Assert.Equal(ids, ids.Order());
        Assert.All(ids, id => Assert.Equal(id, RunId.Parse(id.Text)));
    }

    [Fact]
    public void A_terminal_state_leads_nowhere_and_every_other_can_reach_one()
    {
        foreach (RunState state in Enum.GetValues<RunState>())
        {
            Assert.Equal(state is RunState.Succeeded or RunState.Failed or RunState.Canceled, state.IsTerminal());
            Assert.True(state.IsTerminal() || RunTransitions.From(state).Any(next => next.IsTerminal()));
        }
    }
}
