using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Oci.Tar;
using Microsoft.Win32.SafeHandles;

namespace Berth.Oci.Archives;

/// <summary>
/// Images in a file or folder: an OCI image layout, or what <c>docker save</c> wrote, old or new form, compressed or
/// not. Nothing in it is trusted: names lead only into the archive, and blobs are verified by whoever takes them.
/// </summary>
public sealed class ImageArchive : IImageOrigin, IDisposable
{
    /// <summary>Bytes up to which any ratio is taken: small images of zeros are honest.</summary>
    private const long RatioAfter = 64L * 1024 * 1024;

    private readonly IArchiveFiles files;
    private readonly IArchiveForm form;

    private ImageArchive(IArchiveFiles files, IArchiveForm form)
    {
        this.files = files;
        this.form = form;
    }

    /// <summary>The images, in the archive's order.</summary>
    public IReadOnlyList<ArchivedImage> Images => form.Images;

    /// <summary>
    /// Opens an archive by path. Throws BerthException(ArchiveRefused) when it is none or
    /// is damaged, and BerthException(NotFound).
    /// </summary>
    /// <param name="temporaryFolder">Where a compressed archive is unpacked to until this is disposed.</param>
    public static async Task<ImageArchive> OpenAsync(
        string path, string temporaryFolder, CancellationToken cancellationToken)
    {
        if (Directory.Exists(path))
        {
            return await OpenAsync(new FolderArchiveFiles(path), path, cancellationToken);
        }

        SafeFileHandle file;
        try
        {
            file = File.OpenHandle(path, options: FileOptions.RandomAccess);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new BerthException(ErrorCode.NotFound, $"There is no file or folder '{path}'.", e);
        }

        byte[] start = new byte[4];
        int length = RandomAccess.Read(file, start, 0);
        if (!LayerDecoder.IsCompressed(start.AsSpan(0, length)))
        {
            return await OpenAsync(file, path, cancellationToken);
        }

        await using var stream = new FileStream(file, FileAccess.Read, bufferSize: 0);
        return await OpenAsync(stream, temporaryFolder, cancellationToken);
    }

    /// <summary>
    /// Opens an archive that can only be read once, such as standard input, by keeping it in a temporary file.
    /// </summary>
    public static async Task<ImageArchive> OpenAsync(
        Stream stream, string temporaryFolder, CancellationToken cancellationToken)
    {
        string path = Path.Combine(temporaryFolder, $".archive-{Path.GetRandomFileName()}");
        SafeFileHandle file = File.OpenHandle(
            path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, FileOptions.DeleteOnClose);
        try
        {
            await Task.Run(() => Spool(stream, file), cancellationToken);
        }
        catch (Exception e)
        {
            file.Dispose();
            throw e is InvalidDataException ? Refuse("the input", $"its compressed data is damaged: {e.Message}") : e;
        }

        return await OpenAsync(file, "the input", cancellationToken);
    }

    public Task<ManifestContent> GetManifestAsync(string tagOrDigest, CancellationToken cancellationToken)
    {
        Digest? digest = Digest.TryParse(tagOrDigest, out Digest given)
            ? given
            : Images.FirstOrDefault(
                i => i.Name is { } n && (n == tagOrDigest || n.EndsWith(":" + tagOrDigest, StringComparison.Ordinal)))
                ?.Digest;
        return digest is { } known
            ? form.GetManifestAsync(known, cancellationToken)
            : throw new BerthException(
                ErrorCode.ImageNotFound,
                $"The archive holds no image '{tagOrDigest}', only: "
                    + $"{string.Join(", ", Images.Select(i => i.Name ?? i.Digest.Text))}.");
    }

    public Task<Stream> OpenBlobAsync(Descriptor blob, CancellationToken cancellationToken) => Task.FromResult(
        form.OpenBlob(blob.Digest)
            ?? throw new BerthException(ErrorCode.BlobUnknown, $"The archive lacks the blob {blob.Digest}."));

    public void Dispose() => files.Dispose();

    internal static BerthException Refuse(string what, string why) =>
        new(ErrorCode.ArchiveRefused, $"'{what}' is no usable image archive: {why}.");

    /// <summary>Reads a small document of the archive; null when it is missing.</summary>
    internal static async Task<byte[]?> ReadAsync(IArchiveFiles files, string name, CancellationToken cancellationToken)
    {
        if (files.Open(name) is not { } stream)
        {
            return null;
        }

        await using (stream)
        {
            return await BlobReading.ReadAsync(
                stream, $"The archive's {name}", ManifestDocument.MaxBytes, cancellationToken);
        }
    }

    private static async Task<ImageArchive> OpenAsync(
        SafeFileHandle file, string what, CancellationToken cancellationToken)
    {
        try
        {
            return await OpenAsync(
                await Task.Run(() => new TarArchiveFiles(file), cancellationToken), what, cancellationToken);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static async Task<ImageArchive> OpenAsync(
        IArchiveFiles files, string what, CancellationToken cancellationToken)
    {
        try
        {
            IArchiveForm form = await OciLayout.TryOpenAsync(files, what, cancellationToken)
                ?? (IArchiveForm?)await DockerSave.TryOpenAsync(files, what, cancellationToken)
                ?? throw Refuse(
                    what, "it has neither the index.json of an OCI layout nor the manifest.json of docker save");
            return new ImageArchive(files, form);
        }
        catch
        {
            files.Dispose();
            throw;
        }
    }

    private static void Spool(Stream stream, SafeFileHandle file)
    {
        using CountedStream packed = new(stream);
        using Stream plain = LayerDecoder.Open(packed);
        byte[] buffer = new byte[256 * 1024];
        long length = 0;
        int count;
        while ((count = plain.Read(buffer)) > 0)
        {
            RandomAccess.Write(file, buffer.AsSpan(0, count), length);
            length += count;
            if (length > TarLimits.Default.Bytes)
            {
                throw Refuse("the input", $"it holds more than {TarLimits.Default.Bytes} bytes");
            }

            if (length > RatioAfter && length / LayerLimits.Default.MaxRatio > packed.Count)
            {
                throw Refuse(
                    "the input", $"it unpacks to more than {LayerLimits.Default.MaxRatio} times as many bytes");
            }
        }
    }
}

/// <summary>How an archive arranges its images.</summary>
internal interface IArchiveForm
{
    IReadOnlyList<ArchivedImage> Images { get; }

    Task<ManifestContent> GetManifestAsync(Digest digest, CancellationToken cancellationToken);

    Stream? OpenBlob(Digest digest);
}
