using System.Net;
using Berth.Core.Errors;
using Berth.Oci.Images;

namespace Berth.Oci.Distribution;

/// <summary>
/// A blob on its way from a registry. When the connection breaks or stalls it goes on from where it was, with a range
/// request, a few times; a server that ignores the range is read again up to there.
/// </summary>
internal sealed class ResumingBlob : ReadOnlyStream
{
    private const int MaxResumes = 5;
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100); // doubled each time
    private static readonly TimeSpan StallsAfter = TimeSpan.FromSeconds(60);

    private readonly Descriptor blob;
    private readonly Func<long, CancellationToken, Task<HttpResponseMessage>> ask;
    private readonly TimeProvider time;
    private HttpResponseMessage response;
    private Stream body;
    private long position;
    private int resumes;

    private ResumingBlob(
        HttpResponseMessage response, Stream body, Descriptor blob, Func<long, CancellationToken,
        Task<HttpResponseMessage>> ask,
        TimeProvider time)
    {
        this.response = response;
        this.body = body;
        this.blob = blob;
        this.ask = ask;
        this.time = time;
    }

    internal static async Task<Stream> OpenAsync(
        HttpResponseMessage response, Descriptor blob, Func<long, CancellationToken, Task<HttpResponseMessage>> ask,
        TimeProvider time,
        CancellationToken cancellationToken) =>
        new ResumingBlob(response, await response.Content.ReadAsStreamAsync(cancellationToken), blob, ask, time);

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (true)
        {
            try
            {
                int count = await ReadOnceAsync(buffer, cancellationToken);
                if (count > 0 || buffer.IsEmpty || position >= blob.Size)
                {
                    position += count;
                    return count;
                }

                throw new IOException("the answer ended early");
            }
            catch (Exception e) when (
                e is IOException or HttpRequestException && !cancellationToken.IsCancellationRequested)
            {
                await ResumeAsync(e, cancellationToken);
            }
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            body.Dispose();
            response.Dispose();
        }

        base.Dispose(disposing);
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
        response.Dispose();
        while (true)
        {
            if (++resumes > MaxResumes)
            {
                throw new BerthException(
                    ErrorCode.Upstream,
                    $"The blob {blob.Digest} broke off {resumes} times, last after {position} bytes: {cause.Message}",
                    cause);
            }

            await Task.Delay(FirstPause * (1 << (resumes - 1)), time, cancellationToken);
            try
            {
                response = await ask(position, cancellationToken);
                break;
            }
            catch (BerthException e) when (e.InnerException is HttpRequestException)
            {
                cause = e;
            }
        }

        body = await response.Content.ReadAsStreamAsync(cancellationToken);
        if (position > 0 && response.StatusCode != HttpStatusCode.PartialContent)
        {
            await SkipAsync(position, cancellationToken);
        }
        else if (position > 0 && response.Content.Headers.ContentRange?.From != position)
        {
            throw new BerthException(
                ErrorCode.Upstream, $"The registry answered for another part of {blob.Digest} than asked.");
        }
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
