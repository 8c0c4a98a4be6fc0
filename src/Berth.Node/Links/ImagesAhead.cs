using System.Threading.Channels;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Links;

/// <summary>
/// Images that a server says may soon be wanted here: fetched in the background, few at once, and giving way to every
/// fetch that somebody waits for. Sandboxes are readied for them when they have come, so that no worker of the pools
/// waits for a network. All of it is a hint: what is too much, or fails for good, is left to who needs it.
/// </summary>
/// <param name="hasDisk">Whether there is room for what nobody has asked for yet.</param>
internal sealed class ImagesAhead(
    INode node, FetchedImages images, Func<bool> hasDisk, TimeProvider time, ILogger logger)
{
    private const int AtOnce = 2;
    private const int MostWaiting = 100;
    private const int MostShapes = 16;
    private const int Tries = 3;

    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(2);

    private readonly Lock gate = new();
    private readonly Dictionary<Digest, List<SandboxSpec>> coming = [];

    /// <summary>No more than are coming.</summary>
    private readonly Channel<Digest> line = Channel.CreateUnbounded<Digest>();

    /// <summary>What was asked for and is not here yet.</summary>
    public IReadOnlyList<string> Coming
    {
        get
        {
            lock (gate)
            {
                return [.. coming.Keys.Select(image => image.Text)];
            }
        }
    }

    public void Fetch(Digest image) => Add(image, null);

    /// <summary>As <see cref="INode.Expect"/>, once the image is here.</summary>
    public void Expect(SandboxSpec shape) => Add(shape.Image, shape);

    public Task RunAsync(CancellationToken stop) =>
        Task.WhenAll(Enumerable.Range(0, AtOnce).Select(_ => WorkAsync(stop)));

    private void Add(Digest image, SandboxSpec? shape)
    {
        lock (gate)
        {
            if (!images.Holds(image))
            {
                if (!coming.TryGetValue(image, out List<SandboxSpec>? shapes))
                {
                    if (coming.Count >= MostWaiting)
                    {
                        return;
                    }

                    coming.Add(image, shapes = []);
                    line.Writer.TryWrite(image);
                }

                if (shape is not null && shapes.Count < MostShapes && !shapes.Contains(shape))
                {
                    shapes.Add(shape);
                }

                return;
            }
        }

        if (shape is not null)
        {
            node.Expect(shape);
        }
    }

    private async Task WorkAsync(CancellationToken stop)
    {
        try
        {
            await foreach (Digest image in line.Reader.ReadAllAsync(stop))
            {
                bool isHere = await TryFetchAsync(image, stop);
                List<SandboxSpec>? shapes;
                lock (gate)
                {
                    coming.Remove(image, out shapes);
                }

                foreach (SandboxSpec shape in isHere ? shapes ?? [] : [])
                {
                    node.Expect(shape);
                }
            }
        }
        catch (OperationCanceledException)
        {
            return;
        }
    }

    private async Task<bool> TryFetchAsync(Digest image, CancellationToken stop)
    {
        for (int tries = 1; ; tries++)
        {
            if (!hasDisk())
            {
                LinkLog.NotFetchedAhead(logger, image, "Less than a tenth of the disk is free.");
                return false;
            }

            try
            {
                await images.FetchAheadAsync(image, stop);
                return true;
            }
            catch (Exception fault) when (fault is BerthException or IOException or UnauthorizedAccessException)
            {
                bool isGone = fault is BerthException { Code: ErrorCode.BlobUnknown or ErrorCode.ImageNotFound };
                if (tries == Tries || isGone)
                {
                    LinkLog.NotFetchedAhead(logger, image, fault.Message);
                    return false;
                }
            }

            await Task.Delay(Pause, time, stop);
        }
    }
}
