using System.Text;
using Berth.Api.Nodes;
using Berth.Core.Images;
using Berth.Core.Pools;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Node;
using Berth.Testing.Engines;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.Tests.Pools;

/// <summary>What is known of an input is there before its program: once, whoever writes it all the same.</summary>
public sealed class InputAheadTests : IAsyncLifetime
{
    private const string Text = "one two three four";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly byte[] Whole = Encoding.ASCII.GetBytes(Text);

    private readonly FakeEngine engine = new(TimeProvider.System);
    private readonly LocalNode node;

    public InputAheadTests() => node = new LocalNode(
        new NodeOptions("test", "00000000") { Pool = PoolLimits.Default with { LeastReady = 0, MostReady = 0 } },
        engine, new NoImages(), TimeProvider.System, NullLogger<LocalNode>.Instance);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => await node.StartAsync(Token);

    public async ValueTask DisposeAsync()
    {
        await node.DisposeAsync();
        Assert.Empty(engine.Living);
    }

    [Theory]
    [InlineData(0, null)]
    [InlineData(7, null)]
    [InlineData(18, null)]
    [InlineData(0, 1)]
    [InlineData(7, 1)]
    [InlineData(18, 1)]
    public async Task A_part_comes_to_the_program_once_and_is_counted_once(int known, int? reuse)
    {
        await using IAttempt attempt = await StartAsync(new Known(Whole[..known], IsWhole: false), reuse, "cat");

        foreach (byte[] piece in Whole.Chunk(5))
        {
            await attempt.Input.WriteAsync(piece, Token);
        }

        await attempt.Input.DisposeAsync();
        await ExpectAsync(attempt, Text);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(1)]
    public async Task All_of_it_needs_nobody_who_writes_it(int? reuse)
    {
        // Twice: of the second the node expects that it is as brief.
        for (int i = 0; i < 2; i++)
        {
            await using IAttempt attempt = await StartAsync(new Known(Whole, IsWhole: true), reuse, "cat");
            await ExpectAsync(attempt, Text);
            await attempt.Input.WriteAsync(Whole, Token);
            await attempt.Input.DisposeAsync();
        }
    }

    [Fact]
    public async Task An_input_that_is_empty_has_its_end()
    {
        await using IAttempt attempt = await StartAsync(new Known([], IsWhole: true), null, "cat");

        await ExpectAsync(attempt, "");
    }

    [Fact]
    public async Task One_that_nothing_is_known_of_is_written_as_ever()
    {
        await using IAttempt attempt = await StartAsync(new Known(null, IsWhole: false), null, "cat");
        await attempt.Input.WriteAsync(Whole, Token);
        await attempt.Input.DisposeAsync();

        await ExpectAsync(attempt, Text);
    }

    [Fact]
    public async Task A_program_that_reads_none_of_it_ends_all_the_same()
    {
        await using IAttempt attempt = await StartAsync(new Known(Whole, IsWhole: true), 1, "true");
        await attempt.Input.WriteAsync(Whole, Token);
        await attempt.Input.DisposeAsync();

        await ExpectAsync(attempt, "");
    }

    [Theory]
    [InlineData(null)]
    [InlineData(1)]
    public async Task A_program_that_there_is_none_of_leaves_nothing_behind(int? reuse)
    {
        await using IAttempt attempt = await StartAsync(
            new Known(Whole, IsWhole: true), reuse, "no-such-program-anywhere");
        await attempt.Input.WriteAsync(Whole, Token);
        await attempt.Input.DisposeAsync();

        AttemptReport report = await attempt.Completion.WaitAsync(Patience, Token);
        Assert.Equal(EndReason.EntryPointMissing, report.Reason);
    }

    private static async Task ExpectAsync(IAttempt attempt, string output)
    {
        using StreamReader reader = new(attempt.Output, leaveOpen: true);
        Assert.Equal(output, await reader.ReadToEndAsync(Token).WaitAsync(Patience, Token));
        AttemptReport report = await attempt.Completion.WaitAsync(Patience, Token);
        Assert.Equal(EndReason.Completed, report.Reason);
        long input = attempt.Spec.Ahead!.Peek(0) is { IsWhole: true } known ? known.Bytes.Length : Whole.Length;
        Assert.Equal(input, report.Usage.BytesIn);
        Assert.Equal(output.Length, report.Usage.BytesOut);
    }

    private Task<IAttempt> StartAsync(Known ahead, int? reuse, string command)
    {
        var run = RunId.New(TimeProvider.System.GetUtcNow());
        SandboxSpec shape = new(
            Digest.Sha256("fake"u8), SandboxLimits.Default, NetworkMode.None, Family: "one", Reuse: reuse);
        AttemptSpec order = new(
            run + "-1", run, 1, shape, [command], null, new Dictionary<string, string>(), null, null,
            TimeSpan.FromHours(24), TimeSpan.Zero);
        return node.StartAsync(order with { Ahead = ahead }, Token).WaitAsync(Patience, Token);
    }

    private sealed record Known(byte[]? Bytes, bool IsWhole) : IInputAhead
    {
        public InputBlock? Peek(int most) => Bytes is null ? null : new InputBlock(Bytes, IsWhole);
    }
}
