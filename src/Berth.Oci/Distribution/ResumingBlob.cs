using System.Net;
using Berth.Core.Errors;
using Berth.Core.Streams;
using Berth.Oci.Images;

namespace Berth.Oci.Distribution;

/// <summary>
/// A blob on its way from a registry. When the connection breaks or stalls it goes on from where it was, with a range
/// request, a few times; a server that ignores the range is read again up to there.
/// </summary>
internal sealed class ResumingBlob : SequentialStream
{
    private const int MaxResumes = 5;
    private const long ForgivenAfter = 16L * 1024 * 1024;
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100); // doubled each time
    private static readonly TimeSpan StallsAfter = TimeSpan.FromSeconds(60);

    private readonly Descriptor blob;
    private readonly Func<long, CancellationToken, Task<HttpResponseMessage>> ask;
    private readonly TimeProvider time;
    private HttpResponseMessage? response;
    private Stream body = Null;
    private long position;
    private long resumedAt;
    private int resumes;

    private ResumingBlob(
        Descriptor blob, Func<long, CancellationToken, Task<HttpResponseMessage>> ask, TimeProvider time)
    {
        this.blob = blob;
        this.ask = ask;
        this.time = time;
    }

    public override bool CanRead => true;

    /// <param name="ask">Sends the request for the blob from a position on.</param>
    internal static async Task<Stream> OpenAsync(
        Descriptor blob, Func<long, CancellationToken, Task<HttpResponseMessage>> ask, TimeProvider time,
        CancellationToken cancellationToken)
    {
        var stream = new ResumingBlob(blob, ask, time);
        await stream.AskAsync(null, cancellationToken);
        return stream;
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Exception? broken = null;
        while (true)
        {
            try
            {
                if (broken is not null)
                {
                    await ResumeAsync(broken, cancellationToken);
                    broken = null;
                }

                int count = await ReadOnceAsync(buffer, cancellationToken);
                if (count > 0 || buffer.IsEmpty || position >= blob.Size)
                {
                    Advance(count);
                    return count;
                }

                broken = new IOException("the answer ended early");
            }
            catch (Exception e) when (
                e is IOException or HttpRequestException && !cancellationToken.IsCancellationRequested)
            {
                broken = e;
            }
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            body.Dispose();
            response?.Dispose();
        }

        base.Dispose(disposing);
    }

    /// <summary>A line that breaks now and then but gets on is no reason to give up.</summary>
    private void Advance(int count)
    {
        position += count;
        if (position - resumedAt > ForgivenAfter)
        {
            resumes = 0;
        }
    }

    private async Task<int> ReadOnceAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        using var late = new CancellationTokenSource(StallsAfter, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, late.Token);
        try
        {
            return await body.ReadAsync(buffer, either.Token);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new IOException($"nothing came for {StallsAfter.TotalSeconds:0} s", e);
        }
    }

    private async Task ResumeAsync(Exception cause, CancellationToken cancellationToken)
    {
        await body.DisposeAsync();
        response?.Dispose();
        resumedAt = position;
        await AskAsync(cause, cancellationToken);
        if (position > 0 && response!.StatusCode != HttpStatusCode.PartialContent)
        {
            await SkipAsync(position, cancellationToken);
        }
        else if (position > 0 && response!.Content.Headers.ContentRange?.From != position)
        {
            throw new BerthException(
                ErrorCode.Upstream, $"The registry answered for another part of {blob.Digest} than asked.");
        }
    }

    /// <summary>Asks until there is an answer, with growing pauses after what went wrong.</summary>
    private async Task AskAsync(Exception? cause, CancellationToken cancellationToken)
    {
        while (true)
        {
            if (cause is not null)
            {
                await PauseAsync(cause, cancellationToken);
            }

            try
            {
                response = await ask(position, cancellationToken);
                body = await response.Content.ReadAsStreamAsync(cancellationToken);
                return;
            }
            catch (BerthException e) when (e.InnerException is HttpRequestException)
            {
                cause = e;
            }
        }
    }

    private async Task PauseAsync(Exception cause, CancellationToken cancellationToken)
    {
        if (++resumes > MaxResumes)
        {
            throw new BerthException(
                ErrorCode.Upstream,
                $"The blob {blob.Digest} broke off {resumes} times, last after {position} bytes: {cause.Message}",
                cause);
        }

        await Task.Delay(FirstPause * (1 << (resumes - 1)), time, cancellationToken);
    }

    private async Task SkipAsync(long count, CancellationToken cancellationToken)
    {
        byte[] scrap = new byte[64 * 1024];
        while (count > 0)
        {
            int read = await ReadOnceAsync(scrap.AsMemory(0, (int)Math.Min(scrap.Length, count)), cancellationToken);
            count -= read > 0 ? read : throw new IOException("the answer ended early");
        }
    }
}
