using Berth.Node.RootFilesystems;
using Berth.Oci.Images;
using Xunit;

namespace Berth.Tests.RootFilesystems;

public sealed class OverlayRootTests
{
    [Theory]
    [InlineData(3)]
    [InlineData(9_999_999)]
    public void As_many_layers_as_an_image_may_have_fit_into_a_page_of_options(int descriptor) =>
        Assert.InRange(
            OverlayRoot.OptionsFor(descriptor, ImageConfigDocument.MaxLayers).Length, 1, OverlayRoot.MaxOptions);
}
