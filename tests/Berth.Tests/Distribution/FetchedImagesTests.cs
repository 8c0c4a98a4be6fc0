using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Testing.Clocks;
using Berth.Testing.Content;
using Berth.Testing.Engines;
using Xunit;

namespace Berth.Tests.Distribution;

/// <summary>Images that are fetched before somebody asks for them.</summary>
public sealed class FetchedImagesTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TemporaryFolder folder = new();
    private readonly ManualTime time = new();
    private readonly PlayedOrigin origin = new();
    private readonly FetchedImages images;

    public FetchedImagesTests() => images = new FetchedImages(
        new ContentStore(folder["blobs"], TimeProvider.System), new NoImages(), PlatformChoice.Here, time)
    {
        Origin = origin,
    };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task An_image_fetched_ahead_is_held_and_not_fetched_again()
    {
        Digest image = origin.Add("a");

        await images.FetchAheadAsync(image, Token);

        Assert.True(images.Holds(image));
        Assert.Equal([image.Text], images.Held);
        int asked = origin.Asked;
        using ImageHandle opened = await images.OpenAsync(image, Token);
        Assert.Equal(asked, origin.Asked);
    }

    [Fact]
    public async Task Nothing_rests_while_nobody_waits()
    {
        await images.FetchAheadAsync(origin.Add("a"), Token).WaitAsync(Patience, Token);

        Assert.Equal(0, time.Waiting);
    }

    [Fact]
    public async Task What_nobody_waits_for_gives_way_to_what_somebody_does_until_it_is_wanted_too()
    {
        Digest wanted = origin.Add("wanted");
        Digest ahead = origin.Add("ahead");
        origin.Hold(wanted);
        Task<ImageHandle> first = images.OpenAsync(wanted, Token);
        Task early = images.FetchAheadAsync(ahead, Token);
        await UntilAsync(() => time.Waiting == 1);
        Assert.False(images.Holds(ahead));

        // It rests after each piece, and goes on meanwhile.
        time.Advance(TimeSpan.FromSeconds(1));
        await UntilAsync(() => time.Waiting > 0);
        Assert.False(early.IsCompleted);
        Task<ImageHandle> second = images.OpenAsync(ahead, Token);
        time.Advance(TimeSpan.FromSeconds(1));

        using ImageHandle opened = await second.WaitAsync(Patience, Token);
        await early.WaitAsync(Patience, Token);
        Assert.False(first.IsCompleted);
        origin.Release(wanted);
        using ImageHandle other = await first.WaitAsync(Patience, Token);
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using CancellationTokenSource limit = new(Patience);
        while (!condition())
        {
            limit.Token.ThrowIfCancellationRequested();
            await Task.Delay(5, Token);
        }
    }
}
